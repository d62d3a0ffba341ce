package daemon

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// words splits at spaces; "_" stands for an empty word and a tilde for a space.
func words(line string) []string {
	list := strings.Fields(line)
	for i, w := range list {
		if w == "_" {
			w = ""
		}
		list[i] = strings.ReplaceAll(w, "~", " ")
	}
	return list
}

func TestTranslate(t *testing.T) {
	for _, test := range []struct {
		in, want string // want begins with the path
		about    string // the words that the notices are about
	}{
		// None, or options only.
		{"", "dockerd", ""},
		{"-s overlay2", "dockerd -s overlay2", ""},
		{"-d -s overlay", "dockerd -s overlay2", "-d -s"},
		{"--data-root /x", "dockerd --data-root /x", ""},
		{"-", "dockerd -", ""},
		{"--", "dockerd --", ""},

		// The docker program as daemon.
		{"/usr/bin/docker -d -s overlay", "/usr/bin/dockerd -s overlay2", "docker~-d -d -s"},
		{"docker daemon -s overlay", "dockerd -s overlay2", "docker~daemon -s"},
		{"docker daemon", "dockerd", "docker~daemon"},
		{"docker -d", "dockerd", "docker~-d -d"},
		{"docker --daemon", "dockerd", "docker~--daemon --daemon"},
		{"docker --daemon=true --debug", "dockerd --debug", "docker~--daemon --daemon"},
		{"docker -d=true", "dockerd", "docker~-d -d"},
		{"docker -dD", "dockerd -D", "docker~-d -d"},
		{"docker -Dd -H unix:///x", "dockerd -D -H unix:///x", "docker~-d -d"},
		{"docker -ds overlay", "dockerd -s overlay2", "docker~-d -d -s"},
		{"docker -D daemon", "dockerd -D", "docker~daemon"},
		{"docker --log-level=debug daemon -g /x", "dockerd --log-level=debug --data-root /x", "docker~daemon -g"},
		{"docker --log-level debug daemon", "dockerd --log-level debug", "docker~daemon"},
		{"docker -H daemon daemon --label daemon", "dockerd -H daemon --label daemon", "docker~daemon"},
		{"docker --config /root/.docker daemon -D", "dockerd -D", "docker~daemon --config"},
		{"docker -- daemon -s overlay", "dockerd -s overlay2", "docker~daemon -s"},
		{"docker daemon -- -s overlay", "dockerd -- -s overlay", "docker~daemon"},
		{"docker -d run", "dockerd run", "docker~-d -d"},
		{"docker daemon daemon", "dockerd daemon", "docker~daemon"},
		{"./docker -d", "./dockerd", "docker~-d -d"},

		// The data's place.
		{"dockerd -g /x", "dockerd --data-root /x", "-g"},
		{"dockerd -g=/x", "dockerd --data-root=/x", "-g"},
		{"dockerd -g/x", "dockerd --data-root=/x", "-g"},
		{"dockerd --graph=/x", "dockerd --data-root=/x", "--graph"},
		{"dockerd --graph /x", "dockerd --data-root /x", "--graph"},
		{"dockerd --graph=", "dockerd --data-root=", "--graph"},
		{"dockerd -g -s", "dockerd --data-root -s", "-g"},
		{"dockerd -Dg /x -l info", "dockerd -D --data-root /x -l info", "-g"},
		{"dockerd -g", "dockerd --data-root", "-g"},

		// The storage driver.
		{"dockerd -s overlay", "dockerd -s overlay2", "-s"},
		{"dockerd -s=overlay", "dockerd -s=overlay2", "-s"},
		{"dockerd -soverlay", "dockerd -soverlay2", "-s"},
		{"dockerd -Dsoverlay", "dockerd -D -soverlay2", "-s"},
		{"dockerd -DHfd:// -Ds overlay", "dockerd -DHfd:// -D -s overlay2", "-s"},
		{"dockerd --storage-driver=overlay", "dockerd --storage-driver=overlay2", "--storage-driver"},
		{"dockerd --storage-driver overlay", "dockerd --storage-driver overlay2", "--storage-driver"},
		{"dockerd -s overlay2 -s aufs --storage-driver=overlayfs", "dockerd -s overlay2 -s aufs --storage-driver=overlayfs", ""},
		{"dockerd -s", "dockerd -s", ""},

		// What went before 20.10.
		{"dockerd --api-enable-cors -e native --exec-driver=lxc -D", "dockerd -D", "--api-enable-cors -e --exec-driver"},
		{"dockerd --disable-legacy-registry=false --deprecated-key-path /k", "dockerd", "--disable-legacy-registry --deprecated-key-path"},
		{"dockerd --kv-store x --default-network=y -elxc", "dockerd", "--kv-store --default-network -e"},
		{"dockerd --config /x", "dockerd --config /x", ""}, // the client's, unknown to any dockerd

		// Long names behind one dash.
		{"docker -d -dns 8.8.8.8 -icc=false -bip=10.0.0.1/24 -iptables -mtu 1400", "dockerd --dns 8.8.8.8 --icc=false --bip=10.0.0.1/24 --iptables --mtu 1400",
			"docker~-d -d -dns -icc -bip -iptables -mtu"},
		{"dockerd -dns 8.8.8.8 -ip-forward=false -ip 1.2.3.4", "dockerd --dns 8.8.8.8 --ip-forward=false --ip 1.2.3.4", "-dns -ip-forward -ip"},
		{"dockerd -api-enable-cors -restart=false", "dockerd --restart=false", "-api-enable-cors -restart"},
		{"dockerd -bip", "dockerd -bip", ""}, // today's -b with the value "ip"

		// What stays.
		{"dockerd --label -d --label -g -H -s", "dockerd --label -d --label -g -H -s", ""},
		{"dockerd --label=-d --dns -g", "dockerd --label=-d --dns -g", ""},
		{"dockerd -- -g /x --graph=/x -d", "dockerd -- -g /x --graph=/x -d", ""},
		{"dockerd _ - x -D", "dockerd _ - x -D", ""},
		{"dockerd -r=false --restart --selinux-enabled --mtu 1400 --icc=false -b br0 --ip 0.0.0.0 --insecure-registry x", "dockerd -r=false --restart --selinux-enabled --mtu 1400 --icc=false -b br0 --ip 0.0.0.0 --insecure-registry x", ""},
		{"dockerd --oom-score-adjust -500 --cluster-store x --api-cors-header *", "dockerd --oom-score-adjust -500 --cluster-store x --api-cors-header *", ""},
		{"dockerd --tomorrow overlay -s overlay", "dockerd --tomorrow overlay -s overlay2", "-s"},
		{"dockerd --tomorrow -g /x", "dockerd --tomorrow --data-root /x", "-g"},
		{"dockerd -Zg /x", "dockerd -Zg /x", ""},
		{"dockerd -dip -dZ", "dockerd -dip -dZ", ""}, // without d the first would be --ip in its old form
		{"dockerd ---g x --=y", "dockerd ---g x --=y", ""},

		// Other daemons.
		{"/usr/bin/my-dockerd -d -g /x -s overlay", "/usr/bin/my-dockerd -d -g /x -s overlay", ""},
		{"containerd daemon", "containerd daemon", ""},
		{"dockerd-rootless.sh -g /x", "dockerd-rootless.sh -g /x", ""},
		{"/opt/docker/ -d", "/opt/docker/ -d", ""},
		{"/opt/docker/run.sh run", "/opt/docker/run.sh run", ""},
	} {
		in := words(test.in)
		before := slices.Clone(in)
		c, err := Translate(in)
		if err != nil {
			t.Errorf("%q: %v", test.in, err)
			continue
		}
		if got := append([]string{c.Path}, c.Args...); !slices.Equal(got, words(test.want)) {
			t.Errorf("%q became %q, want %q", test.in, got, test.want)
		}
		var about []string
		for _, n := range c.Notices {
			about = append(about, n.Word)
			if n.Text == "" || strings.Contains(n.String(), "\n") {
				t.Errorf("%q: the notice %q is not one line", test.in, n)
			}
		}
		if !slices.Equal(about, words(test.about)) {
			t.Errorf("%q: notices about %q, want %q", test.in, about, test.about)
		}
		if !slices.Equal(in, before) {
			t.Errorf("%q: the words given were changed to %q", test.in, in)
		}
	}
}

func TestTranslateFallback(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/docker -d": Name, "./docker daemon": Name, "docker -d": "", "/usr/bin/dockerd": "", "-d": "", "/x/my-dockerd": "",
	} {
		c, err := Translate(words(line))
		if err != nil || c.Fallback != want {
			t.Errorf("%q: fallback %q, %v; want %q", line, c.Fallback, err, want)
		}
	}
}

func TestTranslateRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"docker":                            "docker",
		"docker run -d busybox":             "docker run",
		"/usr/bin/docker ps":                "/usr/bin/docker ps",
		"docker -D run -d daemon":           "docker run",
		"docker --version":                  "docker",
		"docker --daemon=false":             "docker",
		"docker -d --daemon=false":          "docker",
		"docker -H daemon ps":               "docker ps",
		"docker --context other daemon":     "docker other",
		"docker run docker -d --privileged": "docker run",
		"_ -d":                              "",
	} {
		c, err := Translate(words(line))
		var usage *UsageError
		if !errors.As(err, &usage) || usage.Command != want || usage.Reason == "" || !strings.Contains(err.Error(), usage.Reason) {
			t.Errorf("%q: %+v, %v; want a usage error about %q", line, c, err, want)
		}
	}
}

func TestIsDockerd(t *testing.T) {
	for path, want := range map[string]bool{"dockerd": true, "/usr/sbin/dockerd": true, "/x/my-dockerd": false, "docker": false, "dockerd/": false, "": false} {
		if got := (Command{Path: path}).IsDockerd(); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

func TestFit(t *testing.T) {
	all := "--oom-score-adjust -500 -D --api-cors-header=* --cluster-store etcd://x --cluster-store-opt a=b --allow-nondistributable-artifacts=r --feature a=true --label --oom-score-adjust -- --api-cors-header"
	for _, test := range []struct{ version, want string }{
		{"", all},
		{"20.10.24", all},
		{"23.0.0", "--oom-score-adjust -500 -D --api-cors-header=* --allow-nondistributable-artifacts=r --feature a=true --label --oom-score-adjust -- --api-cors-header"},
		{"26.1.5", "-D --api-cors-header=* --allow-nondistributable-artifacts=r --feature a=true --label --oom-score-adjust -- --api-cors-header"},
		{"28.0.0-rc.1", "-D --allow-nondistributable-artifacts=r --feature a=true --label --oom-score-adjust -- --api-cors-header"},
		{"29.7.2", "-D --feature a=true --label --oom-score-adjust -- --api-cors-header"},
		{"dev", "-D --feature a=true --label --oom-score-adjust -- --api-cors-header"},
	} {
		var version Version
		if test.version != "" {
			var err error
			if version, err = ParseVersion(test.version); err != nil {
				t.Fatal(err)
			}
		}
		got, notices := Fit(words(all), version)
		if !slices.Equal(got, words(test.want)) {
			t.Errorf("%s: %q, want %q", test.version, got, test.want)
		}
		if (len(notices) == 0) != (test.want == all) {
			t.Errorf("%s: notices %v", test.version, notices)
		}
	}
}

func FuzzTranslate(f *testing.F) {
	for _, s := range []string{"docker -d -s overlay", "docker daemon -g /x", "dockerd --graph=/x -Ds overlay", "-d -e native -dns 1.1.1.1",
		"docker -- daemon --x", "dockerd --label -d -- -g", "docker -dDg=/x -bip 1", "dockerd -D=-g=", "x -g", "docker --foo -d bar daemon", "-d -g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		argv := strings.Split(line, " ")
		c, err := Translate(argv)
		if err != nil {
			return
		}
		if len(c.Notices) == 0 {
			given := argv
			if c.Path == argv[0] && !strings.HasPrefix(argv[0], "-") {
				given = argv[1:]
			}
			if !slices.Equal(c.Args, given) {
				t.Fatalf("%q became %q without a notice", argv, c.Args)
			}
		}
		again, err := Translate(append([]string{c.Path}, c.Args...))
		if err != nil || again.Path != c.Path || !slices.Equal(again.Args, c.Args) || len(again.Notices) > 0 {
			t.Fatalf("%q became %q, and that %q %q, %v, %v", argv, c.Args, again.Path, again.Args, again.Notices, err)
		}
		if !c.IsDockerd() {
			return
		}
		operands := func(args []string) (list []string) {
			for _, tok := range tokenize(args, dockerdDialect) {
				if tok.kind == operandToken {
					list = append(list, tok.value)
				}
			}
			return list
		}
		if c.Path == argv[0] && !slices.ContainsFunc(ParseArgs(c.Args).All(), func(s Setting) bool { return !s.Known }) {
			if before, after := operands(argv[1:]), operands(c.Args); !slices.Equal(before, after) {
				t.Fatalf("%q became %q: the operands %q were %q", argv, c.Args, after, before)
			}
		}
	})
}
