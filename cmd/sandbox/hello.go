package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
)

const (
	helloImage  = "dockerlaunch/hello:latest"
	helloMemory = "64m"
	// helloLabel holds the digest of the program in the image, so that it is imported only where it changed.
	helloLabel = "dockerlaunch.hello.sha256"
)

// hello runs a container of the hello program and shows what it says.
func hello(ctx context.Context, sb *sandbox.Sandbox, program string, say func(string, ...any), out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	if err := importHello(ctx, sb, program); err != nil {
		return fmt.Errorf("making the image %s: %w", helloImage, err)
	}
	began := time.Now()
	args := []string{"run", "--rm", "--memory", helloMemory, helloImage}
	text, err := client(ctx, sb, nil, args...)
	if err != nil {
		return err
	}
	say("container    docker %s, %s:\n", strings.Join(args, " "), ms(time.Since(began)))
	say("%s\n", indent(text))
	return nil
}

// importHello makes the image out of the program alone, where the daemon does not have it.
func importHello(ctx context.Context, sb *sandbox.Sandbox, program string) error {
	b, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	digest := hex.EncodeToString(sum[:])
	// An image that is not there is an error as well, and both mean that it must be made.
	have, err := client(ctx, sb, nil, "image", "inspect", "--format", `{{ index .Config.Labels "`+helloLabel+`" }}`, helloImage)
	if err == nil && strings.TrimSpace(have) == digest {
		return nil
	}
	layer, err := helloLayer(b)
	if err != nil {
		return err
	}
	_, err = client(ctx, sb, layer, "import",
		"--change", `ENTRYPOINT ["/hello"]`, "--change", "LABEL "+helloLabel+"="+digest, "-", helloImage)
	return err
}

// helloLayer is a tar of one file, the same bytes every time.
func helloLayer(program []byte) (io.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "hello", Mode: 0o755, Size: int64(len(program)), ModTime: time.Unix(0, 0)}); err != nil {
		return nil, fmt.Errorf("packing the image: %w", err)
	}
	if _, err := w.Write(program); err != nil {
		return nil, fmt.Errorf("packing the image: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing the image: %w", err)
	}
	return &buf, nil
}

// client runs the tree's docker client and returns its output; the error has what it complained about.
func client(ctx context.Context, sb *sandbox.Sandbox, stdin io.Reader, args ...string) (string, error) {
	cmd := sb.Docker(ctx, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}
