package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const (
	headerSize  = 7       // type, channel, size
	frameEnd    = 0xCE    // after the payload
	maxFrame    = 1 << 20 // RabbitMQ's own limit is 128 KiB
	methodFrame = 1
)

// frame is one of AMQP 0-9-1, as it was on the wire.
type frame struct {
	bytes   []byte
	channel uint16
	method  string // "queue.declare"; for what is no method "header", "body", "heartbeat"
}

var frameTypes = map[byte]string{2: "header", 3: "body", 8: "heartbeat"}

// By class and method, as the specification numbers them.
var classes = map[uint16]string{10: "connection", 20: "channel", 40: "exchange", 50: "queue", 60: "basic", 85: "confirm"}
var methods = map[string]map[uint16]string{
	"connection": {10: "start", 11: "start-ok", 20: "secure", 21: "secure-ok", 30: "tune", 31: "tune-ok", 40: "open", 41: "open-ok",
		50: "close", 51: "close-ok", 60: "blocked", 61: "unblocked"},
	"channel":  {10: "open", 11: "open-ok", 20: "flow", 21: "flow-ok", 40: "close", 41: "close-ok"},
	"exchange": {10: "declare", 11: "declare-ok", 20: "delete", 21: "delete-ok", 30: "bind", 31: "bind-ok", 40: "unbind", 51: "unbind-ok"},
	"queue": {10: "declare", 11: "declare-ok", 20: "bind", 21: "bind-ok", 30: "purge", 31: "purge-ok", 40: "delete", 41: "delete-ok",
		50: "unbind", 51: "unbind-ok"},
	"basic": {10: "qos", 11: "qos-ok", 20: "consume", 21: "consume-ok", 30: "cancel", 31: "cancel-ok", 40: "publish", 50: "return",
		60: "deliver", 70: "get", 71: "get-ok", 72: "get-empty", 80: "ack", 90: "reject", 120: "nack"},
	"confirm": {10: "select", 11: "select-ok"},
}

func readFrame(reader io.Reader) (frame, error) {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(reader, head); err != nil {
		return frame{}, err
	}
	size := binary.BigEndian.Uint32(head[3:])
	if size > maxFrame {
		return frame{}, fmt.Errorf("a frame of %d bytes", size)
	}
	f := frame{bytes: append(head, make([]byte, size+1)...), channel: binary.BigEndian.Uint16(head[1:])}
	if _, err := io.ReadFull(reader, f.bytes[headerSize:]); err != nil {
		return frame{}, err
	}
	if f.bytes[len(f.bytes)-1] != frameEnd {
		return frame{}, fmt.Errorf("a frame without its end")
	}
	f.method = frameTypes[head[0]]
	if head[0] == methodFrame && size >= 4 {
		class, method := binary.BigEndian.Uint16(f.bytes[7:]), binary.BigEndian.Uint16(f.bytes[9:])
		name := classes[class]
		f.method = name + "." + methods[name][method]
	}
	return f, nil
}

// name returns the queue or exchange that a request is about, or "".
func (f frame) name() string {
	request := strings.HasPrefix(f.method, "queue.") || strings.HasPrefix(f.method, "exchange.") || f.method == "basic.publish" ||
		f.method == "basic.consume" || f.method == "basic.get"
	text := f.bytes[headerSize : len(f.bytes)-1]
	if !request || len(text) < 7 { // class, method, two reserved bytes, a short string
		return ""
	}
	size := int(text[6])
	if len(text) < 7+size {
		return ""
	}
	return string(text[7 : 7+size])
}

func methodFrameOf(channel, class, method uint16, arguments []byte) []byte {
	f := []byte{methodFrame}
	f = binary.BigEndian.AppendUint16(f, channel)
	f = binary.BigEndian.AppendUint32(f, uint32(4+len(arguments)))
	f = binary.BigEndian.AppendUint16(f, class)
	f = binary.BigEndian.AppendUint16(f, method)
	f = append(f, arguments...)
	return append(f, frameEnd)
}

// closeFrame is a channel's close, or on channel 0 the connection's.
func closeFrame(channel uint16, code int, text string) []byte {
	text = text[:min(len(text), 255)]
	arguments := binary.BigEndian.AppendUint16(nil, uint16(code))
	arguments = append(arguments, byte(len(text)))
	arguments = append(arguments, text...)
	arguments = append(arguments, 0, 0, 0, 0) // it does not say which method was wrong
	if channel == 0 {
		return methodFrameOf(channel, 10, 50, arguments)
	}
	return methodFrameOf(channel, 20, 40, arguments)
}
