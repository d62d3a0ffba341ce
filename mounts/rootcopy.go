package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"

	"golang.org/x/sys/unix"
)

// treeCopy moves the content of one folder into another, deleting as it goes.
type treeCopy struct {
	from, to string
	skip     []string // names in the top folder
	shrink   bool     // give a file's memory back while it is being copied
	workers  int

	nodes []node // parents come before what is in them; the first is the top folder itself

	mu             sync.Mutex
	files, folders int
	bytes          uint64
	lost           []string
	busy           []string // sources that could not be removed because something is mounted on them
}

// node is one file or folder.
type node struct {
	rel  string // below from; "" is from itself
	st   unix.Stat_t
	busy bool // a program that runs from it: it cannot be opened for writing
}

// held is the memory that the file's content takes. A ramfs counts no blocks, and keeps no holes in what was unpacked.
func (n *node) held() uint64 {
	if n.st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0
	}
	const page = 4096
	size := (uint64(n.st.Size) + page - 1) &^ (page - 1)
	if n.st.Blocks > 0 {
		return min(size, uint64(n.st.Blocks)*512)
	}
	return size
}

func (t *treeCopy) content() uint64 {
	var sum uint64
	links := map[uint64]bool{}
	for i := range t.nodes {
		n := &t.nodes[i]
		if n.st.Nlink > 1 {
			if links[n.st.Ino] {
				continue
			}
			links[n.st.Ino] = true
		}
		sum += n.held() + 1024 // of the kernel's own, for the inode and its name
	}
	return sum
}

// maxLost bounds the list of attributes that were not taken.
const maxLost = 100

func (t *treeCopy) lose(rel, what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lost) < maxLost {
		t.lost = append(t.lost, fmt.Sprintf("%s: %s: %v", printable("/"+rel), what, err))
	}
}

// scan lists what is there.
func (t *treeCopy) scan(ctx context.Context) error {
	t.nodes = nil
	return t.scanFolder(ctx, "")
}

func (t *treeCopy) scanFolder(ctx context.Context, rel string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	folder := node{rel: rel}
	path := filepath.Join(t.from, rel)
	if err := lstat(path, &folder.st); err != nil {
		return err
	}
	t.nodes = append(t.nodes, folder)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		return err
	}
	slices.Sort(names)
	var folders []string
	for _, name := range names {
		if rel == "" && slices.Contains(t.skip, name) {
			continue
		}
		n := node{rel: filepath.Join(rel, name)}
		path := filepath.Join(t.from, n.rel)
		if err := lstat(path, &n.st); err != nil {
			return err
		}
		if n.st.Dev != folder.st.Dev {
			// There is none where this is used. To be sure: what is mounted here is not ours to delete.
			return fmt.Errorf("%s: another filesystem is mounted there: %w", path, unix.EXDEV)
		}
		switch {
		case n.st.Mode&unix.S_IFMT == unix.S_IFDIR:
			folders = append(folders, n.rel)
			continue
		case n.st.Mode&unix.S_IFMT == unix.S_IFREG && n.st.Size > pieceSize:
			n.busy = runs(path)
		}
		t.nodes = append(t.nodes, n)
	}
	for _, folder := range folders {
		if err := t.scanFolder(ctx, folder); err != nil {
			return err
		}
	}
	return nil
}

// runs tells whether a program runs from the file, whose memory can then not be given back before it ends.
func runs(path string) bool {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	unix.Close(fd)
	return false
}

func lstat(path string, st *unix.Stat_t) error {
	if err := unix.Lstat(path, st); err != nil {
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return nil
}

// run copies what scan found: first the folders, then the files, by several workers, then what else there is, then what the
// folders' attributes are, which the making of files in them changes.
func (t *treeCopy) run() error {
	var files []*node
	first := map[uint64]*node{} // by inode, of files with several names
	var others, links []*node
	for i := range t.nodes {
		n := &t.nodes[i]
		switch format := n.st.Mode & unix.S_IFMT; {
		case format == unix.S_IFDIR:
			t.folders++
			if n.rel == "" {
				continue
			}
			if err := os.Mkdir(filepath.Join(t.to, n.rel), 0o700); err != nil {
				return err
			}
			continue
		case n.st.Nlink > 1 && first[n.st.Ino] != nil:
			links = append(links, n)
		case format == unix.S_IFREG:
			files = append(files, n)
		default:
			others = append(others, n)
		}
		t.files++
		if n.st.Nlink > 1 && first[n.st.Ino] == nil {
			first[n.st.Ino] = n
		}
	}
	if err := t.copyFiles(files); err != nil {
		return err
	}
	for _, n := range others {
		if err := t.make(n); err != nil {
			return err
		}
	}
	for _, n := range links {
		if err := os.Link(filepath.Join(t.to, first[n.st.Ino].rel), filepath.Join(t.to, n.rel)); err != nil {
			return err
		}
		if err := t.remove(n); err != nil {
			return err
		}
	}
	for i := range slices.Backward(t.nodes) {
		if n := &t.nodes[i]; n.st.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := t.attributes(n, filepath.Join(t.to, n.rel)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyFiles deals the files out to the workers, the largest first, so that none is left with a large one at the end.
func (t *treeCopy) copyFiles(files []*node) error {
	sort.Slice(files, func(i, j int) bool {
		a, b := files[i], files[j]
		return a.st.Size > b.st.Size || a.st.Size == b.st.Size && a.rel < b.rel
	})
	queue := make(chan *node, len(files))
	for _, n := range files {
		queue <- n
	}
	close(queue)
	errs := make(chan error, max(t.workers, 1))
	for range cap(errs) {
		go func() {
			var err error
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("panic while copying: %v", p)
				}
				errs <- err
			}()
			buf := make([]byte, 256<<10)
			for n := range queue {
				if err = t.copyFile(n, buf); err != nil {
					for range queue { // the others need not go on
					}
					return
				}
			}
		}()
	}
	var all []error
	for range cap(errs) {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// tidy removes what run had to leave: folders, and files that something was mounted on.
func (t *treeCopy) tidy() error {
	var errs []error
	for _, rel := range t.busy {
		errs = append(errs, os.Remove(filepath.Join(t.from, rel)))
	}
	for i := range slices.Backward(t.nodes) {
		if n := &t.nodes[i]; n.st.Mode&unix.S_IFMT == unix.S_IFDIR && n.rel != "" {
			errs = append(errs, os.Remove(filepath.Join(t.from, n.rel)))
		}
	}
	return errors.Join(errs...)
}

// remove deletes the source of what was copied.
func (t *treeCopy) remove(n *node) error {
	path := filepath.Join(t.from, n.rel)
	switch err := unix.Unlink(path); {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		t.mu.Lock()
		defer t.mu.Unlock()
		t.busy = append(t.busy, n.rel)
		return nil
	default:
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
}

// make makes a symbolic link, device, pipe or socket.
func (t *treeCopy) make(n *node) error {
	from, to := filepath.Join(t.from, n.rel), filepath.Join(t.to, n.rel)
	if n.st.Mode&unix.S_IFMT == unix.S_IFLNK {
		goal, err := os.Readlink(from)
		if err != nil {
			return err
		}
		if err := os.Symlink(goal, to); err != nil {
			return err
		}
	} else if err := unix.Mknod(to, n.st.Mode, int(n.st.Rdev)); err != nil {
		return &os.PathError{Op: "mknod", Path: to, Err: err}
	}
	if err := t.attributes(n, to); err != nil {
		return err
	}
	return t.remove(n)
}
