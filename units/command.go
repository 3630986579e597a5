package units

import (
	"fmt"
	"strconv"
	"strings"
)

// SplitCommands splits the value of an Exec directive into its commands, as
// systemd.service(5), "Command lines": words, quotes, C escapes, a lone ; between
// commands, and the prefixes - + : of the program.
func SplitCommands(value string) ([]Command, error) {
	tokens, err := splitTokens(value)
	if err != nil {
		return nil, err
	}
	var out []Command
	var argv []string
	flush := func() error {
		if len(argv) == 0 {
			return nil
		}
		c, err := newCommand(argv)
		out, argv = append(out, c), nil
		return err
	}
	for _, t := range tokens {
		switch {
		case t.text == ";" && !t.quoted:
			if err := flush(); err != nil {
				return nil, err
			}
		default:
			argv = append(argv, t.text)
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("command line is empty")
	}
	return out, nil
}

func newCommand(argv []string) (Command, error) {
	c := Command{Argv: argv}
	program := argv[0]
	for program != "" {
		switch program[0] {
		case '-':
			c.IgnoreFail = true
		case '+':
			c.Privileged = true
		case ':':
			c.Verbatim = true
		case '/':
			c.Argv[0] = program
			return c, nil
		default:
			return c, fmt.Errorf("program %q is not an absolute path", program)
		}
		program = program[1:]
	}
	return c, fmt.Errorf("program %q is not an absolute path", argv[0])
}

func splitWords(value string) ([]string, error) {
	tokens, err := splitTokens(value)
	var out []string
	for _, t := range tokens {
		out = append(out, t.text)
	}
	return out, err
}

type token struct {
	text   string
	quoted bool // by quotes or a backslash: a lone \; is no separator
}

// splitTokens reads words as systemd's extract_first_word with unquoting and
// C unescaping.
func splitTokens(s string) ([]token, error) {
	var out []token
	var b strings.Builder
	var quote byte
	open, quoted := false, false
	flush := func() {
		if open {
			out = append(out, token{b.String(), quoted})
		}
		b.Reset()
		open, quoted = false, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			n, err := unescape(s[i:], &b)
			if err != nil {
				return nil, err
			}
			i += n - 1
			open, quoted = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, open, quoted = c, true, true
		case quote == 0 && strings.IndexByte(" \t\n\r", c) >= 0:
			flush()
		default:
			b.WriteByte(c)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("quote %c is not closed", quote)
	}
	flush()
	return out, nil
}

var simpleEscapes = map[byte]byte{
	'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
	'\\': '\\', '"': '"', '\'': '\'', 's': ' ', ';': ';',
}

// unescape reads one escape at the start of s and returns its length.
func unescape(s string, b *strings.Builder) (int, error) {
	if len(s) < 2 {
		return 0, fmt.Errorf("backslash at the end")
	}
	if c, ok := simpleEscapes[s[1]]; ok {
		b.WriteByte(c)
		return 2, nil
	}
	digits, base, from := 0, 0, 1
	switch {
	case s[1] == 'x':
		digits, base, from = 2, 16, 2
	case s[1] == 'u':
		digits, base, from = 4, 16, 2
	case s[1] == 'U':
		digits, base, from = 8, 16, 2
	case s[1] >= '0' && s[1] <= '7':
		digits, base = 3, 8
	default: // systemd keeps what it does not know
		b.WriteString(s[:2])
		return 2, nil
	}
	if len(s) < from+digits {
		return 0, fmt.Errorf("escape %q is cut short", s)
	}
	n, err := strconv.ParseUint(s[from:from+digits], base, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("escape %q is not a character", s[:from+digits])
	}
	if s[1] == 'u' || s[1] == 'U' {
		b.WriteRune(rune(n))
	} else {
		b.WriteByte(byte(n))
	}
	return from + digits, nil
}

// Expand replaces environment variables in a command's arguments: ${NAME}
// anywhere, $NAME as a word of its own, which splits into words
// (systemd.service(5)). $$ is a dollar sign.
func (c Command) Expand(env func(name string) string) []string {
	if c.Verbatim {
		return c.Argv
	}
	out := []string{c.Argv[0]}
	for _, arg := range c.Argv[1:] {
		if len(arg) > 1 && arg[0] == '$' && arg[1] != '{' && arg[1] != '$' && isName(arg[1:]) {
			out = append(out, strings.Fields(env(arg[1:]))...)
			continue
		}
		out = append(out, expandBraces(arg, env))
	}
	return out
}

func expandBraces(s string, env func(string) string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		rest := s[i:]
		if strings.HasPrefix(rest, "$$") {
			b.WriteByte('$')
			i++
			continue
		}
		if end := strings.IndexByte(rest, '}'); strings.HasPrefix(rest, "${") && end > 0 && isName(rest[2:end]) {
			b.WriteString(env(rest[2:end]))
			i += end
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
