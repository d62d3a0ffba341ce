package preload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/ready"
)

const (
	bufferSize = 256 << 10
	// maxLine bounds a line of the answer, its headers included, in bytes.
	maxLine = 64 << 10
	// maxImages bounds how many names are kept of one archive.
	maxImages = 1000
)

// load sends an archive to the daemon as `docker load` does (Docker Engine API, ImageLoad), and returns the images that it
// says are loaded.
//
// It is HTTP/1.1, whose answers tell where they end: one that was cut off by a daemon that died is a failure, as is one that
// names no image.
func load(ctx context.Context, target ready.Target, archive io.Reader, size int64) (images []string, err error) {
	conn, release, err := ready.Dial(ctx, target)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer release()
	defer func() {
		if ctxErr := ctx.Err(); ctxErr != nil && err != nil {
			err = ctxErr // what the deadline on the socket stands for
		}
	}()
	sent := make(chan error, 1)
	go func() {
		// The daemon may answer, and close its end, before it has taken everything: the answer tells more then.
		err := fmt.Errorf("a mistake in the launcher itself, please report it")
		defer func() {
			if caught := recover(); caught != nil {
				err = fmt.Errorf("%w: %v", err, caught)
			}
			sent <- err
		}()
		err = send(conn, archive, size)
	}()
	images, err = readAnswer(conn)
	if err != nil {
		// Nobody is going to read the rest; the end of the connection ends the sending.
		_ = conn.Close()
	}
	if sendErr := <-sent; sendErr != nil {
		if err != nil && isAnswer(err) {
			return nil, err
		}
		return nil, errors.Join(fmt.Errorf("sending it to the daemon: %w", sendErr), err)
	}
	return images, err
}

func send(w io.Writer, archive io.Reader, size int64) error {
	head := "POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: application/x-tar\r\nContent-Length: " +
		strconv.FormatInt(size, 10) + "\r\n\r\n"
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	// Not the file's own WriteTo or ReadFrom: the bytes are hashed on their way.
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(archive, size), make([]byte, bufferSize))
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("the file was cut to %d of its %d bytes meanwhile: %w", n, size, io.ErrUnexpectedEOF)
	}
	return nil
}

// answerError is what the daemon says against an archive.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string {
	if e.status == 200 {
		return "the daemon says: " + e.text
	}
	return fmt.Sprintf("the daemon answers with status %d: %s", e.status, e.text)
}

func isAnswer(err error) bool {
	var e *answerError
	return errors.As(err, &e)
}

// readAnswer reads an HTTP/1 answer without Content-Encoding, in one piece or in chunks.
func readAnswer(r io.Reader) ([]string, error) {
	b := bufio.NewReaderSize(r, maxLine)
	h, err := readHead(b)
	if err != nil {
		return nil, fmt.Errorf("the daemon's answer: %w", err)
	}
	status := h.status
	body := io.Reader(b)
	switch {
	case h.chunked:
		body = &chunks{r: b}
	case h.length >= 0:
		// A body of known length is one chunk.
		body = &chunks{r: b, left: uint64(h.length), last: true}
	}
	lines := bufio.NewReaderSize(body, maxLine)
	if status != 200 {
		data, err := io.ReadAll(io.LimitReader(lines, maxLine))
		var message struct{ Message string }
		if json.Unmarshal(data, &message) != nil || message.Message == "" {
			message.Message = strings.TrimSpace(string(data))
		}
		return nil, errors.Join(&answerError{status, fmt.Sprintf("%.1000s", message.Message)}, err)
	}
	return readMessages(lines)
}

// readMessages reads the stream of JSON messages, one on each line (moby, pkg/jsonmessage).
func readMessages(lines *bufio.Reader) (images []string, err error) {
	said := ""
	for {
		line, err := readLine(lines)
		if len(strings.TrimSpace(line)) > 0 {
			var m struct {
				Stream, Status, Error string
				ErrorDetail           struct{ Message string }
			}
			if jsonErr := json.Unmarshal([]byte(line), &m); jsonErr != nil {
				return nil, errors.Join(fmt.Errorf("the daemon's answer is no JSON: %.200q: %w", line, jsonErr), err)
			}
			if text := m.ErrorDetail.Message + m.Error; text != "" {
				if m.ErrorDetail.Message != "" {
					text = m.ErrorDetail.Message
				}
				return nil, &answerError{200, text}
			}
			said = strings.TrimSpace(m.Stream + m.Status)
			if image := loaded(said); image != "" && len(images) < maxImages {
				images = append(images, image)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the daemon's answer: %w", err)
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("the daemon names no image as loaded: there is none in the archive, or the daemon ended (it said last: %q)", said)
	}
	return images, nil
}

// loaded takes the image out of "Loaded image: NAME" and "Loaded image ID: ID" (moby, image/tarexport/load.go).
func loaded(line string) string {
	for _, prefix := range []string{"Loaded image: ", "Loaded image ID: "} {
		if image, ok := strings.CutPrefix(line, prefix); ok {
			return image
		}
	}
	return ""
}

// readLine reads a line, at most maxLine bytes long.
func readLine(b *bufio.Reader) (string, error) {
	line, err := b.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("a line has more than %d bytes", maxLine)
	}
	return string(line), err
}

// head is what matters of an answer's first lines.
type head struct {
	status  int
	chunked bool
	length  int64 // -1 where it is not told
}

func readHead(b *bufio.Reader) (head, error) {
	h := head{length: -1}
	line, err := readLine(b)
	if err != nil {
		return h, fmt.Errorf("it ends before it has begun: %w", unexpected(err))
	}
	fields := strings.Fields(line)
	if len(fields) >= 2 && strings.HasPrefix(fields[0], "HTTP/1.") {
		h.status, err = strconv.Atoi(fields[1])
	}
	if err != nil || h.status < 100 || h.status > 999 {
		return h, fmt.Errorf("it is no HTTP/1: %.80q", line)
	}
	for range 100 {
		if line, err = readLine(b); err != nil {
			return h, fmt.Errorf("it ends early: %w", unexpected(err))
		}
		if line = strings.TrimSpace(line); line == "" {
			return h, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Transfer-Encoding"):
			h.chunked = strings.EqualFold(value, "chunked")
		case strings.EqualFold(name, "Content-Length"):
			if h.length, err = strconv.ParseInt(value, 10, 64); err != nil || h.length < 0 {
				return h, fmt.Errorf("its length is %.40q", value)
			}
		}
	}
	return h, errors.New("it has more than 100 headers")
}

// chunks takes the chunked transfer coding off (RFC 9112, section 7.1).
type chunks struct {
	r    *bufio.Reader
	left uint64
	err  error
	some bool
	last bool // no chunk follows
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 && c.err == nil {
		c.err = c.next()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p[:min(uint64(len(p)), c.left)])
	c.left -= uint64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.err = err
	return n, err
}

func (c *chunks) next() error {
	if c.last {
		return io.EOF
	}
	if c.some { // the end of the line behind the last chunk
		if _, err := readLine(c.r); err != nil {
			return unexpected(err)
		}
	}
	c.some = true
	line, err := readLine(c.r)
	if err != nil {
		return unexpected(err)
	}
	size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
	if c.left, err = strconv.ParseUint(strings.TrimSpace(size), 16, 62); err != nil {
		return fmt.Errorf("a chunk's size is %.40q", line)
	}
	if c.left == 0 {
		return io.EOF
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
