package soak_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// engine is the Docker of a machine, spoken to as its clients do (https://docs.docker.com/reference/api/engine/).
type engine struct {
	client *http.Client
	base   string
}

// refusal is an error that Docker answers with, unlike those of the way to it.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func newEngine(address, certs string) (*engine, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(certs, "client", "cert.pem"), filepath.Join(certs, "client", "key.pem"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(certs, "client", "ca.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("there is no certificate in ca.pem")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool}}
	return &engine{&http.Client{Transport: transport}, "https://" + address}, nil
}

// ask sends a request. Its answer, where it is a success, is put into the value; nil wants none.
func (e *engine) ask(ctx context.Context, method, path string, query url.Values, body io.Reader, value any) error {
	request, err := http.NewRequestWithContext(ctx, method, e.base+path+"?"+query.Encode(), body)
	if err != nil {
		return err
	}
	if _, ok := body.(*strings.Reader); ok {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := e.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode >= 300:
		return &refusal{fmt.Sprintf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(data))}
	case value == nil:
		return nil
	}
	if take, ok := value.(raw); ok {
		return take(data)
	}
	return json.Unmarshal(data, value)
}

// load imports an image with the recorder and a file in it, and returns when the daemon has said that it is done.
func (e *engine) load(ctx context.Context, tag string, program, content []byte) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		name string
		data []byte
	}{{"recorder", program}, {"content", content}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.data))}); err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	query := url.Values{"fromSrc": {"-"}, "repo": {"soak"}, "tag": {tag}, "changes": {`ENTRYPOINT ["/recorder"]`}}
	// The answer is a stream of objects, one of which tells of an error.
	var last error
	return e.ask(ctx, http.MethodPost, "/images/create", query, &archive, raw(func(data []byte) error {
		for in := json.NewDecoder(bytes.NewReader(data)); ; {
			var message struct{ Error string }
			switch err := in.Decode(&message); {
			case errors.Is(err, io.EOF):
				return last
			case err != nil:
				return err
			case message.Error != "":
				last = &refusal{message.Error}
			}
		}
	}))
}

// images are the tags of the repository soak.
func (e *engine) images(ctx context.Context) (map[string]bool, error) {
	var list []struct{ RepoTags []string }
	err := e.ask(ctx, http.MethodGet, "/images/json", nil, nil, &list)
	tags := map[string]bool{}
	for _, image := range list {
		for _, name := range image.RepoTags {
			if tag, ok := strings.CutPrefix(name, "soak:"); ok {
				tags[tag] = true
			}
		}
	}
	return tags, err
}

// create makes a container of an image; with volume it is one that always runs, and has the volume at /log.
func (e *engine) create(ctx context.Context, tag, name string, volume bool, args ...string) (id string, err error) {
	host := map[string]any{"NetworkMode": "host"}
	if volume {
		host["RestartPolicy"] = map[string]string{"Name": "always"}
		host["Binds"] = []string{"log:/log"}
	}
	body, err := json.Marshal(map[string]any{"Image": "soak:" + tag, "Cmd": args, "HostConfig": host})
	if err != nil {
		return "", err
	}
	query := url.Values{}
	if name != "" {
		query.Set("name", name)
	}
	var made struct{ ID string }
	err = e.ask(ctx, http.MethodPost, "/containers/create", query, strings.NewReader(string(body)), &made)
	return made.ID, err
}

func (e *engine) start(ctx context.Context, id string) error {
	return e.ask(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil, nil)
}

func (e *engine) remove(ctx context.Context, id string) error {
	return e.ask(ctx, http.MethodDelete, "/containers/"+id, url.Values{"force": {"1"}}, nil, nil)
}

// sums are the SHA-256 sums of files of an image, as its containers have them. No container is started for that, which would take
// an emulated machine seconds.
func (e *engine) sums(ctx context.Context, tag string, paths ...string) (sums []string, err error) {
	id, err := e.create(ctx, tag, "", false, "never")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.remove(ctx, id)) }()
	for _, path := range paths {
		// https://docs.docker.com/reference/api/engine/, "Get an archive of a filesystem resource in a container"
		err := e.ask(ctx, http.MethodGet, "/containers/"+id+"/archive", url.Values{"path": {path}}, nil, raw(func(data []byte) error {
			archive := tar.NewReader(bytes.NewReader(data))
			if _, err := archive.Next(); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			content, err := io.ReadAll(archive)
			sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(content)))
			return err
		}))
		if err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// raw takes an answer as it is, which need not be one JSON value.
type raw func(data []byte) error
