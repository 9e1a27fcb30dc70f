// Package conformance runs the cases of tests/conformance/cases over plain generated stubs;
// docs/conformance.md describes their format.
package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Values of cases and of answers are what encoding/json makes of JSON with UseNumber: nil, bool,
// string, json.Number, []any and map[string]any. No number ever passes through a float.
type object = map[string]any

// Case is one case of a file.
type Case struct {
	Subject string
	Name    string
	// What the file declares under `let`, in its order: a text may hold the ones before it.
	Texts []Text
	// Where steps run that do not say it: `shared`, `tokens` or `fresh`.
	Server string
	Steps  []object
	// Of a case that must fail: what the runner must say then.
	Fails string
}

// Text is a variable that a file declares.
type Text struct{ Name, Value string }

// ID is unique over all files.
func (c *Case) ID() string { return c.Subject + "/" + c.Name }

// Targets are all places where steps of the case run.
func (c *Case) Targets() map[string]bool {
	targets := map[string]bool{}
	for _, step := range c.Steps {
		targets[c.target(step)] = true
	}
	return targets
}

func (c *Case) target(step object) string {
	if server, ok := step["server"].(string); ok {
		return server
	}
	return c.Server
}

// LoadFolder reads the cases of all files of a folder, in the order of their names.
func LoadFolder(folder string) ([]*Case, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var all []*Case
	for _, file := range files {
		cases, err := LoadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, cases...)
	}
	return all, nil
}

// LoadFile reads the cases of one file.
func LoadFile(file string) ([]*Case, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	cases, err := ParseCases(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return cases, nil
}

// ParseCases reads the cases of the text of a file. That the file fits the schema is checked by
// tests/conformance/test_suite.py, once for all languages.
func ParseCases(text []byte) ([]*Case, error) {
	var document struct {
		Subject string
		Let     yaml.Node
		Cases   []struct {
			Name   string
			Server string
			Steps  []yaml.Node
			Fails  string
		}
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	var texts []Text
	for i := 0; i+1 < len(document.Let.Content); i += 2 {
		name, value := document.Let.Content[i], document.Let.Content[i+1]
		texts = append(texts, Text{name.Value, value.Value})
	}
	var cases []*Case
	for _, written := range document.Cases {
		one := &Case{
			Subject: document.Subject, Name: written.Name, Texts: texts,
			Server: written.Server, Fails: written.Fails,
		}
		if one.Server == "" {
			one.Server = "shared"
		}
		for _, node := range written.Steps {
			step, ok := valueOf(&node).(object)
			if !ok {
				return nil, fmt.Errorf("line %d: a step is a mapping", node.Line)
			}
			one.Steps = append(one.Steps, step)
		}
		cases = append(cases, one)
	}
	return cases, nil
}

var plainInteger = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// valueOf reads a node as the format says it, whatever the library takes plain scalars for: an
// integer of any length, `true`, `false`, `null`, or a text.
func valueOf(node *yaml.Node) any {
	switch node.Kind {
	case yaml.MappingNode:
		value := object{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			value[node.Content[i].Value] = valueOf(node.Content[i+1])
		}
		return value
	case yaml.SequenceNode:
		value := make([]any, 0, len(node.Content))
		for _, item := range node.Content {
			value = append(value, valueOf(item))
		}
		return value
	}
	plain := node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|
		yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch {
	case !plain:
		return node.Value
	case node.Value == "null":
		return nil
	case node.Value == "true" || node.Value == "false":
		return node.Value == "true"
	case plainInteger.MatchString(node.Value):
		return json.Number(node.Value)
	}
	return node.Value
}

// Reason is what the catalogue says of an error.
type Reason struct {
	Code  string
	Facts []string
}

// LoadReasons reads the catalogue of errors from `reasons.yaml`.
func LoadReasons(file string) (map[string]Reason, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var reasons map[string]Reason
	if err := yaml.Unmarshal(text, &reasons); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return reasons, nil
}

// integerOf reads a count of a case: an integer, or a text of one.
func integerOf(value any) (int, error) {
	count, err := strconv.Atoi(textOf(value))
	if err != nil || count < 0 {
		return 0, caseError("%s is no count", shown(value))
	}
	return count, nil
}
