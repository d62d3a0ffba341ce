package rootfs

import (
	"fmt"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
)

// daemonPath is where dockerd is in the tree.
const daemonPath = "usr/bin/dockerd"

// versionHint adds the file by which the launcher knows the version of the tree's dockerd without running it. A version that
// nothing tells, as of an archive that somebody gave a name of his own, is left to the launcher to find out.
func (p *planner) versionHint() error {
	n := p.nodes[daemonPath]
	if n == nil || n.Kind != KindFile {
		return nil
	}
	version, err := p.x.version(n.Package)
	if err != nil {
		return nil // an unknown version is no error: see above
	}
	content := []byte(daemon.Hint(n.Size, version))
	if err := p.add(&Node{
		Path: strings.TrimPrefix(daemon.VersionHint, "/"), Kind: KindFile, Mode: 0o644, Size: int64(len(content)), Package: n.Package, For: n.For, content: content,
	}); err != nil {
		return fmt.Errorf("the hint of dockerd's version: %w", err)
	}
	return nil
}

// version is the Docker version of a package, or of Docker's own archive, by its name.
func (x *index) version(pkg string) (daemon.Version, error) {
	text := x.versions[pkg]
	if text == "" {
		text = strings.TrimSuffix(strings.TrimPrefix(pkg, "docker-"), ".tgz")
	}
	if _, upstream, ok := strings.Cut(text, ":"); ok { // behind an epoch (deb-version(7))
		text = upstream
	}
	return daemon.ParseVersion(text)
}
