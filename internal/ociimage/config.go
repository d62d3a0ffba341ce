package ociimage

import (
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
	"github.com/dockerlaunch/dockerlaunch/launch/iptables"
)

// The health check: cheap, because `ready` asks one question on a unix socket. Docker's default of 30 s between two checks
// would keep whoever waits for a healthy container waiting that long after a start of a second.
const (
	healthInterval = 10 * time.Second
	healthTimeout  = 5 * time.Second
	healthStart    = 60 * time.Second
	// healthStartInterval is used from Docker 25.0 on, until the container is healthy or healthStart is over.
	healthStartInterval = time.Second
	healthRetries       = 3
)

const (
	launcherFile = "/" + rootfs.LauncherPath
	sourceURL    = "https://github.com/dockerlaunch/dockerlaunch"
)

// config is the image's configuration. The fields are those of the OCI image specification (config.md), and HEALTHCHECK,
// which only Docker has: https://github.com/moby/moby/blob/master/image/spec/README.md.
func (o Options) config(architecture string, layers []*packed) ([]byte, error) {
	created := v1.Time{Time: time.Unix(o.Created, 0).UTC()}
	c := v1.ConfigFile{
		Architecture: architecture,
		OS:           "linux",
		Created:      created,
		Author:       "dockerlaunch",
		RootFS:       v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Env: []string{
				// First comes the iptables that the daemon runs, so that whoever adds a rule from inside adds it to the daemon's.
				"PATH=" + iptables.Dir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				// As docker:dind's image has it: certificates are made there, and TCP is served with TLS alone. An empty value is
				// what asks for TCP in the clear, and without the variable no port is opened.
				"DOCKER_TLS_CERTDIR=/certs",
			},
			Entrypoint:   []string{launcherFile},
			WorkingDir:   "/",
			Volumes:      map[string]struct{}{"/var/lib/docker": {}},
			ExposedPorts: map[string]struct{}{"2375/tcp": {}, "2376/tcp": {}},
			StopSignal:   "SIGTERM",
			Labels:       o.labels(created),
			Healthcheck: &v1.HealthConfig{
				Test:     []string{"CMD", launcherFile, "ready"},
				Interval: healthInterval, Timeout: healthTimeout, StartPeriod: healthStart, Retries: healthRetries,
			},
		},
	}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, v1.Hash{Algorithm: "sha256", Hex: l.DiffID})
		c.History = append(c.History, v1.History{
			Created:   v1.Time{Time: time.Unix(l.Time, 0).UTC()},
			CreatedBy: "mkimage image: layer " + string(l.Name),
			Comment:   layerWhat[l.Name],
		})
	}
	return withStartInterval(c)
}

func (o Options) labels(created v1.Time) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":         "dockerlaunch",
		"org.opencontainers.image.description":   "Docker in Docker from scratch, " + string(o.Variant) + " variant",
		"org.opencontainers.image.created":       created.Format(time.RFC3339),
		"org.opencontainers.image.url":           sourceURL,
		"org.opencontainers.image.source":        sourceURL,
		"org.opencontainers.image.documentation": sourceURL + "/blob/master/README.md",
		"org.opencontainers.image.vendor":        "dockerlaunch",
	}
	for name, value := range map[string]string{"version": o.Version, "revision": o.Revision} {
		if value != "" {
			labels["org.opencontainers.image."+name] = value
		}
	}
	return labels
}

// withStartInterval adds the field of the health check that the library's types lack. Going through maps sorts the names,
// so that the bytes are the same every time.
func withStartInterval(c v1.ConfigFile) ([]byte, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing the image's configuration: %w", err)
	}
	var all, inner, health map[string]json.RawMessage
	for _, step := range []struct {
		raw  func() json.RawMessage
		into *map[string]json.RawMessage
	}{
		{func() json.RawMessage { return raw }, &all},
		{func() json.RawMessage { return all["config"] }, &inner},
		{func() json.RawMessage { return inner["Healthcheck"] }, &health},
	} {
		if err := json.Unmarshal(step.raw(), step.into); err != nil {
			return nil, fmt.Errorf("writing the image's configuration: %w", err)
		}
	}
	health["StartInterval"] = fmt.Append(nil, int64(healthStartInterval))
	if inner["Healthcheck"], err = json.Marshal(health); err != nil {
		return nil, fmt.Errorf("writing the image's configuration: %w", err)
	}
	if all["config"], err = json.Marshal(inner); err != nil {
		return nil, fmt.Errorf("writing the image's configuration: %w", err)
	}
	if raw, err = json.Marshal(all); err != nil {
		return nil, fmt.Errorf("writing the image's configuration: %w", err)
	}
	return raw, nil
}
