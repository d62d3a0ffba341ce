package preload

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/ready"
	"github.com/google/go-cmp/cmp"
)

func TestArchive(t *testing.T) {
	for name, want := range map[string]bool{
		"a.tar": true, "a.tar.gz": true, "a.tgz": true, "a.tar.xz": true, "a.tar.zst": true, "x.y.tar": true,
		".tar": false, ".hidden.tar": false, "a.tar.part": false, "a": false, "tar": false, "README.md": false,
	} {
		if Archive(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// fake is a daemon that takes archives and answers as their text tells.
type fake struct {
	target ready.Target
	got    []string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "preload")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{target: ready.Target{Socket: l.Addr().String()}}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: f}}
	s.Start()
	t.Cleanup(s.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first := make([]byte, 5)
	io.ReadFull(r.Body, first)
	if string(first) == "early" {
		w.WriteHeader(500)
		io.WriteString(w, `{"message":"no space left on device"}`)
		return
	}
	rest, err := io.ReadAll(r.Body)
	f.got = append(f.got, fmt.Sprintf("%s %s %d %v", r.Method, r.URL, len(first)+len(rest), err))
	flush := w.(http.Flusher).Flush
	switch string(first) {
	case "wrong":
		io.WriteString(w, `{"errorDetail":{"message":"invalid tar header"},"error":"invalid tar header"}`)
	case "empty":
	case "dies!":
		io.WriteString(w, `{"stream":"Loaded image: half\n"}`+"\r\n")
		flush()
		panic(http.ErrAbortHandler)
	case "hangs":
		flush()
		<-r.Context().Done()
	case "html!":
		io.WriteString(w, "<html>")
	default:
		io.WriteString(w, `{"status":"Loading layer","progressDetail":{"current":1},"id":"x"}`+"\r\n")
		flush()
		io.WriteString(w, `{"stream":"Loaded image: `+string(first)+`:latest\n"}`+"\r\n"+`{"stream":"Loaded image ID: sha256:1\n"}`)
	}
}

type outcome struct {
	name, images, says string
	kept               bool
}

// run preloads and returns the outcomes.
func run(t *testing.T, ctx context.Context, dir, root string, target ready.Target) ([]outcome, error) {
	t.Helper()
	var list []outcome
	err := Run(ctx, dir, root, target, func(o Outcome) {
		says := ""
		if o.Err != nil {
			says = o.Err.Error()
		}
		list = append(list, outcome{o.Name, strings.Join(o.Images, " "), says, o.Kept})
	})
	return list, err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRunOnce(t *testing.T) {
	f, dir, root := newFake(t), t.TempDir(), t.TempDir()
	write(t, dir+"/b.tar", "bbbbb")
	write(t, dir+"/a.tar.gz", "aaaaa"+strings.Repeat("x", 3<<20))
	write(t, dir+"/c.tar", "wrong")
	write(t, dir+"/README", "not an archive")
	if err := os.Mkdir(dir+"/d.tar", 0o755); err != nil {
		t.Fatal(err)
	}
	const a, b = "aaaaa:latest sha256:1", "bbbbb:latest sha256:1"
	step := func(why string, want ...outcome) {
		t.Helper()
		got, err := run(t, t.Context(), dir, root, f.target)
		if err != nil {
			t.Errorf("%s: %v", why, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", why, diff)
		}
	}
	wrong := outcome{name: "c.tar", says: "the daemon says: invalid tar header"}
	step("at first", outcome{name: "a.tar.gz", images: a}, outcome{name: "b.tar", images: b}, wrong)
	if diff := cmp.Diff("POST /images/load?quiet=1 3145733 <nil>", f.got[0]); diff != "" {
		t.Error(diff)
	}
	step("again", outcome{name: "a.tar.gz", kept: true}, outcome{name: "b.tar", kept: true}, wrong)

	if err := os.Chtimes(dir+"/b.tar", time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/c.tar", "ccccc")
	step("with another time, and one that was mended", outcome{name: "a.tar.gz", kept: true}, outcome{name: "b.tar", kept: true}, outcome{name: "c.tar", images: "ccccc:latest sha256:1"})
	sent := len(f.got)
	if err := os.Rename(dir+"/b.tar", dir+"/e.tar"); err != nil {
		t.Fatal(err)
	}
	step("under another name", outcome{name: "a.tar.gz", kept: true}, outcome{name: "c.tar", kept: true}, outcome{name: "e.tar", kept: true})
	if len(f.got) != sent {
		t.Error("it was sent again")
	}
	write(t, dir+"/e.tar", "eeeee")
	step("with another content of the same size", outcome{name: "a.tar.gz", kept: true}, outcome{name: "c.tar", kept: true}, outcome{name: "e.tar", images: "eeeee:latest sha256:1"})

	write(t, filepath.Join(root, StateName), `{"loaded":[`)
	got, err := run(t, t.Context(), dir, root, f.target)
	if !errors.Is(err, errBroken) || len(got) != 3 || got[0].kept {
		t.Errorf("with a broken state file: %+v, %v", got, err)
	}
	step("after that", outcome{name: "a.tar.gz", kept: true}, outcome{name: "c.tar", kept: true}, outcome{name: "e.tar", kept: true})
	if list, err := os.ReadDir(root); err != nil || len(list) != 1 {
		t.Errorf("left over: %v, %v", list, err)
	}
}

func TestRunFailures(t *testing.T) {
	f, root := newFake(t), t.TempDir()
	for text, says := range map[string]string{
		"empty": "names no image", "html!": "no JSON", "dies!": "unexpected EOF",
		"early" + strings.Repeat("x", 20<<20): "status 500: no space left on device",
	} {
		dir := t.TempDir()
		write(t, dir+"/x.tar", text)
		for range 2 {
			got, err := run(t, t.Context(), dir, root, f.target)
			if err != nil || len(got) != 1 || !strings.Contains(got[0].says, says) || strings.Contains(got[0].says, "sending") {
				t.Errorf("%.5s: %+v, %v", text, got, err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(root, StateName)); err == nil {
		t.Error("a failure is remembered as loaded")
	}
	dir := t.TempDir()
	write(t, dir+"/x.tar", "aaaaa")
	got, err := run(t, t.Context(), dir, root, ready.Target{Socket: "/nonexistent"})
	var e *ready.Error
	if err != nil || len(got) != 1 || !strings.Contains(got[0].says, "nobody listens") {
		t.Errorf("%+v, %v", got, errors.As(err, &e))
	}
	if got, err := run(t, t.Context(), dir+"/missing", root, f.target); got != nil || err != nil {
		t.Errorf("a folder that is missing: %v, %v", got, err)
	}
	if _, err := run(t, t.Context(), dir, root+"/missing", f.target); err == nil || !strings.Contains(err.Error(), "again at the next start") {
		t.Errorf("a data-root that is missing: %v", err)
	}
}

func TestRunBoundedByContext(t *testing.T) {
	f, dir, root := newFake(t), t.TempDir(), t.TempDir()
	write(t, dir+"/a.tar", "hangs")
	write(t, dir+"/b.tar", "bbbbb")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	got, err := run(t, ctx, dir, root, f.target)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "b.tar") || len(got) != 1 || !strings.Contains(got[0].says, "deadline") {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadAnswer(t *testing.T) {
	const ok = `{"stream":"Loaded image: x\n"}`
	for text, says := range map[string]string{
		"HTTP/1.0 200 OK\r\n\r\n" + ok:                                                           "",
		"HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n" + ok + "\nmore":                          "",
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + ok:                                     "unexpected EOF",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + ok:                                     "length",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1e;x=y\r\n" + ok + "\r\n0\r\n\r\n": "",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1e\r\n" + ok + "\r\n":              "unexpected EOF",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n":                            "chunk",
		"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", maxLine+1):                               "a line has more",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 101) + "\r\n":                         "headers",
		"":                                  "before it has begun",
		"HTTP/1.1 200 OK\r\nX: y":           "ends early",
		"nonsense\r\n\r\n":                  "no HTTP/1",
		"HTTP/1.1 404 Not Found\r\n\r\nhuh": "status 404: huh",
		"HTTP/1.1 200 OK\r\n\r\n" + ok + "\n" + `{"error":"only this"}`: "only this",
	} {
		images, err := readAnswer(strings.NewReader(text))
		if says == "" && (err != nil || len(images) != 1) || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%.100q: %q, %v", text, images, err)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1e;x=y\r\n" + `{"stream":"Loaded image: x\n"}` + "\r\n0\r\n\r\n")
	f.Add("HTTP/1.1 500 x\r\nContent-Length: 3\r\n\r\n{}")
	f.Fuzz(func(t *testing.T, text string) {
		images, err := readAnswer(strings.NewReader(text))
		if (err == nil) != (len(images) > 0) {
			t.Errorf("%q, %v", images, err)
		}
		// What takes the chunks off is held to net/http's own.
		response, httpErr := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
		if err == nil && httpErr == nil && response.StatusCode != 200 {
			t.Errorf("status %d is taken for a success", response.StatusCode)
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add(`{"loaded":[{"name":"a","size":1,"mtime_ns":2,"sha256":"x"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), StateName)
		write(t, path, text)
		if s, err := readState(path); err == nil {
			if err := s.write(path); err != nil {
				t.Fatal(err)
			}
			if again, err := readState(path); err != nil || cmp.Diff(s, again) != "" && len(s.Loaded) > 0 {
				t.Errorf("%v, %v", again, err)
			}
		}
	})
}
