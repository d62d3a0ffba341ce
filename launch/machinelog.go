package launch

import (
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
