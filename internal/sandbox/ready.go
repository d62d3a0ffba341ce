package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	readyTimeout = 60 * time.Second
	readyPoll    = 20 * time.Millisecond
)

// ExitError says that the launcher ended.
type ExitError struct {
	Code   int      // 128+n where signal n ended it
	Output []string // the last lines
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("the launcher ended with status %d", e.Code)
	if len(e.Output) == 0 {
		return text + " and wrote nothing"
	}
	return text + "; its last lines:\n  " + strings.Join(e.Output, "\n  ")
}

// DockerHost returns the daemon's address for clients of root on the host, in any terminal.
func (s *Sandbox) DockerHost() string { return "unix://" + s.socket() }

// socket is not below /var/run: that is a link with an absolute target, which would lead out of the sandbox.
func (s *Sandbox) socket() string { return fmt.Sprintf("/proc/%d/root/run/docker.sock", s.pid) }

// HTTPClient returns a client whose requests go to the daemon's socket whatever their host is, such as http://docker/info.
func (s *Sandbox) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", s.socket())
		},
	}}
}

// Ready waits until the daemon answers /_ping on its unix socket. An end of the launcher before that is an *ExitError. It
// waits for a minute at most, or until ctx ends.
func (s *Sandbox) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	client := s.HTTPClient()
	for {
		err := ping(ctx, client)
		if s.ended() {
			return s.Exit()
		}
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the daemon: %w; last try: %w; last lines of its log:\n  %s",
				ctx.Err(), err, strings.Join(s.tail.lines(), "\n  "))
		case <-time.After(readyPoll):
		}
	}
}

func ping(ctx context.Context, client *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/_ping answered %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
