package conformance

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// CaseError says that the case itself is wrong: an unknown variable, a generator that cannot work.
type CaseError struct{ Problem string }

func (e *CaseError) Error() string { return e.Problem }

func caseError(format string, values ...any) error {
	return &CaseError{fmt.Sprintf(format, values...)}
}

// Variables are what `${...}` stands for within one run of a case.
type Variables struct{ values map[string]string }

// NewVariables begins a run with the texts that the file declares under `let`.
func NewVariables(texts []Text) (*Variables, error) {
	v := &Variables{map[string]string{"run": hex.EncodeToString(randomBytes(6))}}
	for _, text := range texts {
		value, err := v.FillIn(text.Value)
		if err != nil {
			return nil, err
		}
		v.values[text.Name] = value
	}
	return v, nil
}

// Set gives the name a value; numbers and booleans are kept as their text.
func (v *Variables) Set(name string, value any) { v.values[name] = textOf(value) }

var variable = regexp.MustCompile(`\$\{([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)?)([+-][0-9]+)?\}`)

// FillIn returns the text with every `${name}`, `${name+1}` and `${name-1}` replaced, inner ones
// first: `${uuid.e${i}}` names one id for each `i`.
func (v *Variables) FillIn(text string) (string, error) {
	for strings.Contains(text, "${") {
		if !variable.MatchString(text) {
			return "", caseError("no variable can be read in %.80q", text)
		}
		var failed error
		text = variable.ReplaceAllStringFunc(text, func(found string) string {
			parts := variable.FindStringSubmatch(found)
			value, err := v.replacement(parts[1], parts[2])
			if err != nil {
				failed = err
			}
			return value
		})
		if failed != nil {
			return "", failed
		}
	}
	return text, nil
}

func (v *Variables) replacement(name, offset string) (string, error) {
	value, err := v.value(name)
	if err != nil || offset == "" {
		return value, err
	}
	number, ok := new(big.Int).SetString(value, 10)
	if !ok {
		return "", caseError("%s is no integer to add to: %.80q", name, value)
	}
	added, _ := new(big.Int).SetString(offset, 10)
	return number.Add(number, added).String(), nil
}

func (v *Variables) value(name string) (string, error) {
	if value, ok := v.values[name]; ok {
		return value, nil
	}
	kind, label, _ := strings.Cut(name, ".")
	if kind == "uuid_upper" {
		value, err := v.value("uuid." + label)
		return strings.ToUpper(value), err
	}
	if kind != "uuid" || label == "" {
		return "", caseError("nothing is known as %s", name)
	}
	v.values[name] = randomUUID()
	return v.values[name], nil
}

func randomBytes(count int) []byte {
	data := make([]byte, count)
	// crypto/rand never fails: it ends the program instead.
	_, _ = rand.Read(data)
	return data
}

func randomUUID() string {
	data := randomBytes(16)
	data[6] = data[6]&0x0f | 0x40
	data[8] = data[8]&0x3f | 0x80
	digits := hex.EncodeToString(data)
	return strings.Join(
		[]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
}

// textOf is a scalar as comparisons see it: numbers in digits, booleans in lower case.
func textOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	case bool:
		return strconv.FormatBool(value)
	case int:
		return strconv.Itoa(value)
	}
	return compact(value)
}

// Expand returns the value with variables filled in, generators run, and bytes fields in base64.
func Expand(value any, v *Variables) (any, error) {
	switch value := value.(type) {
	case string:
		return v.FillIn(value)
	case []any:
		return expandList(value, v)
	case object:
		for _, generator := range generators {
			if _, ok := value[generator.name]; ok {
				return generator.run(value, v)
			}
		}
		expanded := make(object, len(value))
		for key, item := range value {
			item, err := Expand(item, v)
			if err != nil {
				return nil, err
			}
			name, data, err := bytesField(key, item)
			if err != nil {
				return nil, err
			}
			expanded[name] = data
		}
		return expanded, nil
	}
	return value, nil
}

func expandList(list []any, v *Variables) ([]any, error) {
	expanded := make([]any, 0, len(list))
	for _, item := range list {
		item, err := Expand(item, v)
		if err != nil {
			return nil, err
		}
		expanded = append(expanded, item)
	}
	return expanded, nil
}

// joined returns the texts of a list as one.
func joined(items []any, separator string) (any, error) {
	texts := make([]string, 0, len(items))
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			return nil, caseError("%s is no text to join", shown(item))
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, separator), nil
}

// bytesField returns a field of bytes in base64, as JSON has it, if it was written as text or in
// hexadecimal.
func bytesField(key string, value any) (string, any, error) {
	text, ok := value.(string)
	if !ok {
		return key, value, nil
	}
	if name, ok := strings.CutSuffix(key, "_text"); ok {
		return name, base64.StdEncoding.EncodeToString([]byte(text)), nil
	}
	if name, ok := strings.CutSuffix(key, "_hex"); ok {
		data, err := hex.DecodeString(text)
		if err != nil {
			return "", nil, caseError("%s: %v", key, err)
		}
		return name, base64.StdEncoding.EncodeToString(data), nil
	}
	return key, value, nil
}

type generator struct {
	name string
	run  func(value object, v *Variables) (any, error)
}

var generators []generator

func init() {
	// Not where it is declared: they expand what is in them, and so refer to themselves.
	generators = []generator{
		{"$fill", fill}, {"$times", times}, {"$concat", concat}, {"$each", each},
	}
}

func fill(value object, v *Variables) (any, error) {
	around := map[string]string{"before": "", "after": ""}
	for key := range around {
		part, err := Expand(value[key], v)
		if err != nil {
			return nil, err
		}
		if part != nil {
			around[key] = textOf(part)
		}
	}
	unit := "x"
	if with, ok := value["with"]; ok {
		unit = textOf(with)
	}
	size, err := integerOf(value["$fill"])
	if err != nil {
		return nil, err
	}
	room := size - len(around["before"]) - len(around["after"])
	if unit == "" || room < 0 || room%len(unit) != 0 {
		return nil, caseError("$fill: %d bytes cannot be filled with %q", room, unit)
	}
	return around["before"] + strings.Repeat(unit, room/len(unit)) + around["after"], nil
}

func times(value object, v *Variables) (any, error) {
	text, err := Expand(value["text"], v)
	if err != nil {
		return nil, err
	}
	count, err := integerOf(value["$times"])
	if err != nil {
		return nil, err
	}
	return strings.Repeat(textOf(text), count), nil
}

func concat(value object, v *Variables) (any, error) {
	written, ok := value["$concat"].([]any)
	if !ok {
		return nil, caseError("$concat: %s is no list", shown(value["$concat"]))
	}
	parts, err := expandList(written, v)
	if err != nil {
		return nil, err
	}
	return joined(parts, "")
}

func each(value object, v *Variables) (any, error) {
	count, err := integerOf(value["$each"])
	if err != nil {
		return nil, err
	}
	items := make([]any, 0, count)
	for index := range count {
		v.Set("i", index)
		item, err := Expand(value["item"], v)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	if join, ok := value["join"]; ok {
		return joined(items, textOf(join))
	}
	return items, nil
}
