package daemon

import "strings"

// token is one thing that a command line says: an option, an operand, or the "--" behind which all are operands.
//
// The reading is that of github.com/spf13/pflag, dockerd's parser (parseArgs, parseLongArg and parseSingleShortArg in its
// flag.go), but keeps where each thing stands, so that a command line can be changed in one place and stay the same, byte
// for byte, in all others; and it goes on behind an option that it does not know.
type token struct {
	kind tokenKind
	// option is what the table says of it, with Name alone set where the option is unknown.
	option Option
	known  bool
	legacy *legacyOption // set for an option that went before 20.10
	short  bool          // written with one dash
	// at is where in its word the option's name begins.
	at int
	// oneDash is true for a long name behind one dash.
	oneDash bool
	// value is the text given; "" and hasValue false for a bool without "=".
	value    string
	hasValue bool
	// attached is true where the value is the end of the option's own word.
	attached bool
	// missing is true for an option that wants a value where the command line ends.
	missing bool
	// bad tells why the word is no option at all: "--=x", "---".
	bad string
	// first and last are the indices of the words it stands in. Letters written together share their word.
	first, last int
}

type tokenKind int

const (
	optionToken tokenKind = iota
	operandToken
	dashesToken
)

// dialect is whose command line is read.
type dialect int

const (
	// todayDialect is what dockerd takes since 20.10.
	todayDialect dialect = iota
	// dockerdDialect is that and what dockerd took in older releases.
	dockerdDialect
	// clientDialect is that of the docker program which was also the daemon, up to 1.12: options that only it had, and
	// long names behind one dash (moby's pkg/mflag).
	clientDialect
)

// tokenize reads a command line. Every word is in at least one token, and tokens stand in the words' order.
func tokenize(args []string, d dialect) []token {
	var tokens []token
	for i := 0; i < len(args); i++ {
		word := args[i]
		switch {
		case len(word) < 2 || word[0] != '-':
			tokens = append(tokens, token{kind: operandToken, value: word, first: i, last: i})
			continue
		case word == "--":
			tokens = append(tokens, token{kind: dashesToken, first: i, last: i})
			for j := i + 1; j < len(args); j++ {
				tokens = append(tokens, token{kind: operandToken, value: args[j], first: j, last: j})
			}
			return tokens
		}
		var read []token
		if word[1] == '-' {
			read = []token{readLong(args, i, word[2:], d)}
		} else if oneDash(word[1:], d) {
			t := readLong(args, i, word[1:], d)
			t.short, t.at, t.oneDash = true, 1, true
			read = []token{t}
		} else {
			read = readShorts(args, i, word[1:], d)
		}
		tokens = append(tokens, read...)
		i = read[len(read)-1].last
	}
	return tokens
}

// readLong reads the option whose word, without its dashes, is text.
func readLong(args []string, i int, text string, d dialect) token {
	t := token{kind: optionToken, at: 2, first: i, last: i}
	if text == "" || text[0] == '-' || text[0] == '=' {
		t.bad = "bad flag syntax"
		t.option.Name = text
		return t
	}
	name, value, attached := strings.Cut(text, "=")
	t.option.Name = name
	if o, ok := Lookup(name); ok {
		t.option, t.known = o, true
	} else if l, ok := lookupLegacy(name, d); ok {
		t.option, t.legacy, t.known = l.Option, l, true
	}
	if attached {
		t.value, t.hasValue, t.attached = value, true, true
		return t
	}
	if t.known {
		t.takeNext(args)
		return t
	}
	// dockerd takes no operands, so what follows an option of a newer dockerd and is no option is its value.
	if d != clientDialect && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
		t.value, t.hasValue, t.last = args[i+1], true, i+1
	}
	return t
}

// readShorts reads letters that stand together, without their dash.
func readShorts(args []string, i int, letters string, d dialect) []token {
	var tokens []token
	for letters != "" {
		t := token{kind: optionToken, short: true, at: len(args[i]) - len(letters), first: i, last: i}
		letter, rest := letters[0], letters[1:]
		if o, ok := lookupShort(letter); ok {
			t.option, t.known = o, true
		} else if l, ok := lookupLegacyShort(letter, d); ok {
			t.option, t.legacy, t.known = l.Option, l, true
		} else {
			// Whether the letters behind it are its value or options is not known either.
			t.option.Name = letters
			if name, value, ok := strings.Cut(letters, "="); ok && name != "" {
				t.option.Name, t.value, t.hasValue, t.attached = name, value, true, true
			}
			return append(tokens, t)
		}
		switch {
		case len(rest) > 1 && rest[0] == '=':
			t.value, t.hasValue, t.attached = rest[1:], true, true
			return append(tokens, t)
		case t.option.Bool():
			tokens = append(tokens, t)
			letters = rest
			continue
		case rest != "":
			t.value, t.hasValue, t.attached = rest, true, true
		default:
			t.takeNext(args)
		}
		return append(tokens, t)
	}
	return tokens
}

// takeNext gives an option that is known and has no value attached the word behind it, whatever that looks like.
func (t *token) takeNext(args []string) {
	switch {
	case t.option.Bool():
	case t.last+1 < len(args):
		t.last++
		t.value, t.hasValue = args[t.last], true
	default:
		t.missing = true
	}
}

// oneDash finds the name of a long option that is written with one dash, as docker's first releases did: -dns 8.8.8.8,
// -icc=false. They are the "#names" in docker/flags.go and daemon/config.go up to 1.12. Read by today's rules none of
// them is valid but -bip, which is -b with the value "ip", and so is only taken from the old program.
func oneDash(text string, d dialect) bool {
	name, _, _ := strings.Cut(text, "=")
	switch name {
	case "api-enable-cors", "dns", "icc", "ip", "ip-forward", "iptables", "mtu", "restart":
		return d != todayDialect
	case "bip":
		return d == clientDialect
	}
	return false
}
