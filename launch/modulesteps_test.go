package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/modules"
)

// What modprobe.d says and nobody understands is told once, whatever becomes of the modules.
func TestLoadModuleTellsWhatIsSkipped(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"lib/modules/1/modules.dep": "", "conf/a.conf": "blacklist x\nblaklist y\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(root, "conf/b.conf")); err != nil {
		t.Fatal(err)
	}
	loader := &moduleLoader{wants: []modules.Want{{Names: []string{"no_such_module"}}}, open: func() (*modules.Loader, error) {
		x, err := modules.Open(modules.Options{Root: root, Release: "1", ConfigDirs: []string{filepath.Join(root, "conf")}})
		return &modules.Loader{Index: x}, err
	}}
	var told []string
	for range 2 {
		if _, err := (LoadModule{Names: []string{"no_such_module"}, loader: loader}).Apply(t.Context()); err != nil {
			told = append(told, err.Error())
		}
	}
	all := strings.Join(told, "\n")
	for _, what := range []string{"a.conf:2: ", "blaklist", "b.conf"} {
		if strings.Count(all, what) != 1 {
			t.Errorf("%q is not told once: %s", what, all)
		}
	}
}
