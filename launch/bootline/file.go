package bootline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// maxFile bounds a file of options, in bytes. A larger one is not what it was taken for.
const maxFile = 64 << 10

// FileError is a line of an options file that is no option, or a file that cannot be one.
type FileError struct {
	Path string
	// Line counts from 1; 0 is the file as a whole.
	Line int
	Text string
	Err  error
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%s:%d: %q: %v", e.Path, e.Line, e.Text, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// What can be wrong with a file of options.
var (
	ErrNoKey     = errors.New("a line is KEY=VALUE, or KEY alone for \"true\"; a comment begins with #")
	ErrQuote     = errors.New("the quote is not closed on its line")
	ErrBehind    = errors.New("nothing but a comment may stand behind the closing quote")
	ErrTooLarge  = errors.New("it is larger than 64 KiB, and so no file of options") // maxFile
	ErrCharacter = errors.New("it holds a control character")
)

// ParseFile reads options from a file: a KEY=VALUE on each line, empty lines and comments (#) between them. A key alone is
// "true", and may have the prefix it has on the kernel command line. A value in single or double quotes is taken as it is;
// without quotes it ends before a # that stands behind a space. Nothing is escaped or expanded.
//
// The good lines are returned also where others are wrong; the error joins a *FileError for each of those.
func ParseFile(path string, r io.Reader) ([]Option, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, &FileError{Path: path, Err: err}
	}
	if len(text) > maxFile {
		return nil, &FileError{Path: path, Err: ErrTooLarge}
	}
	var options []Option
	var problems []error
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	lines.Buffer(nil, maxFile+1)
	for n := 1; lines.Scan(); n++ {
		option, ok, err := parseLine(lines.Text())
		if err != nil {
			problems = append(problems, &FileError{path, n, lines.Text(), err})
		} else if ok {
			option.Where = fmt.Sprintf("%s:%d", path, n)
			options = append(options, option)
		}
	}
	return options, errors.Join(append(problems, lines.Err())...)
}

// parseLine returns ok false for a line that says nothing.
func parseLine(line string) (o Option, ok bool, err error) {
	if strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
		return o, false, ErrCharacter
	}
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return o, false, nil
	}
	key, value, hasValue := strings.Cut(line, "=")
	if !hasValue {
		key, value = uncomment(line), "true"
	} else if value, err = unquote(strings.TrimSpace(value)); err != nil {
		return o, false, err
	}
	key = strings.TrimSpace(key)
	key = normalise(strings.TrimPrefix(key, Prefix))
	if key == "" || strings.ContainsAny(key, " \t\"'#") {
		return o, false, ErrNoKey
	}
	return Option{Key: key, Value: value}, true, nil
}

func unquote(value string) (string, error) {
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return uncomment(value), nil
	}
	inside, behind, closed := strings.Cut(value[1:], value[:1])
	if !closed {
		return "", ErrQuote
	}
	if uncomment(behind) != "" {
		return "", ErrBehind
	}
	return inside, nil
}

// uncomment cuts a comment off, which begins at a # at the start or behind a space.
func uncomment(text string) string {
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			text = text[:i]
			break
		}
	}
	return strings.TrimSpace(text)
}
