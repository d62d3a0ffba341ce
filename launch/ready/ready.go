// Package ready tells whether the daemon answers: it asks /_ping on its socket, and speaks and hears sd_notify(3). It uses
// bare sockets, as package net/http would be a fifth of the launcher.
package ready

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Kind sorts the reasons for which a daemon is not ready.
type Kind int

const (
	// Failed is any reason but the others.
	Failed Kind = iota
	// NobodyListens is a socket that is missing, or that nobody accepts connections on.
	NobodyListens
	// NotReady is a daemon that answers, and says that it is not ready or something else but 200.
	NotReady
	// TimedOut is a context that ended before the daemon answered.
	TimedOut
	// Denied is a socket that this user may not use.
	Denied
)

// String names the kind in words.
func (k Kind) String() string {
	switch k {
	case NobodyListens:
		return "nobody listens"
	case NotReady:
		return "not ready yet"
	case TimedOut:
		return "no answer in time"
	case Denied:
		return "permission denied"
	}
	return "cannot be asked"
}

// Error tells why a daemon is not ready.
type Error struct {
	Kind   Kind
	Target Target
	// Status is the HTTP status of the answer, 0 where there was none.
	Status int
	Err    error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("the daemon at %s: %s: %v", e.Target, e.Kind, e.Err)
	if e.Kind == Denied {
		text += " (it takes root, or the socket's group)"
	}
	return text
}

// Unwrap returns the reason below.
func (e *Error) Unwrap() error { return e.Err }

// pingLimit bounds one question where the context does not.
const pingLimit = 10 * time.Second

// maxAnswer bounds what is read of an answer, in bytes: status line, headers and the two letters of the body.
const maxAnswer = 8 << 10

// Ping asks the daemon's /_ping once. nil means that it answered 200; otherwise the error is an *Error. It takes 10 s at
// most.
func Ping(ctx context.Context, t Target) error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	conn, release, err := Dial(ctx, t)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer release()
	fail := func(doing string, err error) error {
		if ctxErr := ctx.Err(); ctxErr != nil {
			err = ctxErr // what the deadline on the socket stands for
		}
		return &Error{Kind: kindOf(err), Target: t, Err: fmt.Errorf("%s: %w", doing, err)}
	}
	// With HTTP/1.0 the daemon closes the connection behind an answer that is not cut into chunks. HEAD would do too, but
	// only since API 1.40.
	if _, err := io.WriteString(conn, "GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n"); err != nil {
		return fail("asking", err)
	}
	answer, err := readHead(conn)
	if err != nil {
		return fail("reading its answer", err)
	}
	status, err := parseStatus(answer)
	if err != nil {
		return &Error{Kind: Failed, Target: t, Err: err}
	}
	if status == 200 {
		return nil
	}
	// The rest is for the message alone, so that it does not matter where it ends early.
	rest, _ := io.ReadAll(io.LimitReader(conn, maxAnswer))
	return &Error{Kind: NotReady, Target: t, Status: status, Err: explain(status, answer+string(rest))}
}

// readHead reads until the end of the headers or of the answer. What is behind them may be in it too.
func readHead(r io.Reader) (string, error) {
	buf := make([]byte, 0, 1024)
	for !strings.Contains(string(buf), "\r\n\r\n") {
		if len(buf) == maxAnswer {
			return "", fmt.Errorf("its headers have more than %d bytes", maxAnswer)
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), maxAnswer)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			if len(buf) == 0 {
				return "", fmt.Errorf("it closed the connection without a word: %w", io.ErrUnexpectedEOF)
			}
			break
		}
		if err != nil {
			return "", err
		}
	}
	return string(buf), nil
}

// parseStatus reads the status out of an HTTP/1 answer.
func parseStatus(answer string) (int, error) {
	line, _, _ := strings.Cut(answer, "\n")
	line = strings.TrimSuffix(line, "\r")
	fail := fmt.Errorf("what it answers is no HTTP/1: %.80q", line)
	version, rest, ok := strings.Cut(line, " ")
	if !ok || version != "HTTP/1.0" && version != "HTTP/1.1" {
		return 0, fail
	}
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.ParseUint(code, 10, 16)
	if err != nil || len(code) != 3 || status < 100 {
		return 0, fail
	}
	return int(status), nil
}

func explain(status int, answer string) error {
	_, body, _ := strings.Cut(answer, "\r\n\r\n")
	body = strings.TrimSpace(body)
	if status == 400 && strings.Contains(body, "HTTPS server") {
		return errors.New("it speaks TLS: ask its unix socket")
	}
	return fmt.Errorf("/_ping answers with status %d: %.200s", status, body)
}

// Wait asks again and again, every so often, until the daemon answers or ctx ends. A Denied daemon is not asked again, as
// waiting changes nothing. Where ctx ends, the error is that of the last question that got to its end, joined with ctx's.
func Wait(ctx context.Context, t Target, every time.Duration) error {
	var err error
	for {
		now := Ping(ctx, t)
		var e *Error
		if now == nil || errors.As(now, &e) && e.Kind == Denied {
			return now
		}
		if err == nil || ctx.Err() == nil {
			err = now
		}
		if sleepErr := sleep(ctx, max(every, time.Millisecond)); sleepErr != nil {
			return &Error{Kind: TimedOut, Target: t, Err: fmt.Errorf("%w; the last try: %w", sleepErr, reason(err))}
		}
	}
}

// reason takes the outer words off an error that is about to be wrapped in the same words.
func reason(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", e.Kind, e.Err)
	}
	return err
}
