package launch

import (
	"bytes"
	"io"

	"github.com/dockerlaunch/dockerlaunch/launch/machine"
	"github.com/sirupsen/logrus"
)

// logHook brings messages to a machine's console and to the kernel's log.
type logHook struct{ log *machine.Log }

// machineLogger is the logger of a machine: what it is told goes to the console and the kernel's log.
func machineLogger(log *machine.Log) logrus.FieldLogger {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	logger.SetLevel(logrus.DebugLevel) // what is shown is the machine's log to decide
	logger.AddHook(logHook{log: log})
	return logger
}

// Levels are all: see machineLogger.
func (logHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire writes a message.
func (h logHook) Fire(entry *logrus.Entry) error {
	level := machine.Info
	switch entry.Level {
	case logrus.PanicLevel, logrus.FatalLevel:
		level = machine.Critical
	case logrus.ErrorLevel:
		level = machine.Error
	case logrus.WarnLevel:
		level = machine.Warning
	case logrus.DebugLevel, logrus.TraceLevel:
		level = machine.Debug
	}
	return h.log.Write(level, entry.Message)
}

// consoleWriter brings what the daemon prints to a machine's console. A console that takes nothing, as a serial line whose
// other end stopped it, does not keep the daemon waiting: the oldest lines give way.
type consoleWriter struct {
	log     *machine.Log
	partial []byte
}

// Write takes whole lines; a part of one waits for the rest.
func (w *consoleWriter) Write(data []byte) (int, error) {
	w.partial = append(w.partial, data...)
	for {
		line, rest, ended := bytes.Cut(w.partial, []byte("\n"))
		if !ended {
			if len(w.partial) > maxConsoleLine {
				w.partial = w.partial[:0]
			}
			return len(data), nil
		}
		level := machine.Warning
		if bytes.Contains(line, []byte(" level=info ")) {
			level = machine.Info
		} else if bytes.Contains(line, []byte(" level=debug ")) {
			level = machine.Debug
		}
		if _, shown := w.log.Verbosity.Route(level, false); shown && w.log.Console != nil {
			if err := w.log.Console.Write(string(line) + "\n"); err != nil {
				return len(data), err
			}
		}
		w.partial = append(w.partial[:0], rest...)
	}
}

// maxConsoleLine is the longest line that is kept while its end is awaited, in bytes.
const maxConsoleLine = 64 << 10
