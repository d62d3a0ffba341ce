package daemon

// legacyOption is an option that went before 20.10, the oldest release that is of interest.
type legacyOption struct {
	Option
	// client is true for an option of the docker program alone.
	client bool
	// gone tells why it can be left out.
	gone string
}

// legacyOptions was read off moby's sources at its releases from 0.7 to 19.03: docker/docker.go, docker/flags.go,
// daemon/config.go, cli/common.go, opts/opts.go, registry/config.go, and cmd/dockerd from 1.12.
//
// "daemon" is from 0.7 to 1.12, "exec-driver" from 0.9 to 1.10, "api-enable-cors" from 0.7 to 17.07,
// "disable-legacy-registry" from 1.9 to 18.09, "deprecated-key-path" from 17.06 to 18.09; "default-network" and
// "kv-store" were in 1.7 and 1.8's experimental builds; "config" is the client's folder of settings, 1.8 on.
var legacyOptions = []legacyOption{
	{Option: Option{Name: "api-enable-cors", Type: "bool"},
		gone: "removed in 17.09: the API sends no CORS headers; a reverse proxy in front of it can"},
	{Option: Option{Name: "config", Type: "string"}, client: true,
		gone: "it named the folder of the client's settings, which dockerd does not read"},
	{Option: Option{Name: "daemon", Short: "d", Type: "bool"},
		gone: "dockerd is always the daemon"},
	{Option: Option{Name: "default-network", Type: "string"},
		gone: "removed in 1.9: docker network create and docker run --network choose a network"},
	{Option: Option{Name: "deprecated-key-path", Type: "string"},
		gone: "removed in 19.03: the key it named is no longer used"},
	{Option: Option{Name: "disable-legacy-registry", Type: "bool"},
		gone: "removed in 19.03: dockerd no longer talks to registries of the first protocol"},
	{Option: Option{Name: "exec-driver", Short: "e", Type: "string"},
		gone: "removed in 1.10: containers run with runc (--default-runtime chooses another)"},
	{Option: Option{Name: "kv-store", Type: "string"},
		gone: "removed in 1.9: " + classicSwarm},
}

func (l *legacyOption) in(d dialect) bool {
	return d == clientDialect || d == dockerdDialect && !l.client
}

func lookupLegacy(name string, d dialect) (*legacyOption, bool) {
	for i := range legacyOptions {
		l := &legacyOptions[i]
		if l.Name == name && l.in(d) {
			return l, true
		}
	}
	return nil, false
}

func lookupLegacyShort(letter byte, d dialect) (*legacyOption, bool) {
	for i := range legacyOptions {
		if l := &legacyOptions[i]; l.Short == string(letter) && l.in(d) {
			return l, true
		}
	}
	return nil, false
}
