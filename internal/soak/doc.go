// Package soak takes the power of a machine away, again and again, while containers write and images are loaded, and looks
// after each cut whether everything that was safe is there.
//
// The disk is that of package powercut, which loses what was not flushed. What is safe is what somebody outside of the
// machine was told to be: the container that runs the recorder writes a log of records (Log), and tells a record's number
// only after fsync(2) of it. TestPowerCuts is the way in; `make soak N=100` cuts a hundred times.
package soak
