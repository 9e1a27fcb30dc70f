//! What the keywords of JSON Schema hold.

use referencing::Draft;

/// What stands behind a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schema) enum Holds {
    /// A reference to a schema.
    Reference,
    /// A schema.
    Schema,
    /// A list of schemas.
    List,
    /// A schema or a list of schemas.
    SchemaOrList,
    /// Schemas by name.
    Map,
    /// Schemas or lists of names by name.
    MapOrNames,
    /// A rule that needs no other schema.
    Rule,
    /// Schemas that apply nowhere by themselves, and names.
    Nothing,
    /// It says nothing of what fits.
    Annotation,
}

/// The keywords that refer to another schema.
pub(in crate::schema) const REFERENCES: [&str; 3] = ["$ref", "$recursiveRef", "$dynamicRef"];

/// What stands behind a keyword of a draft.
pub(in crate::schema) fn holds(draft: Draft, keyword: &str) -> Holds {
    let old = draft <= Draft::Draft7;
    match keyword {
        "$ref" => Holds::Reference,
        "$recursiveRef" if draft == Draft::Draft201909 => Holds::Reference,
        "$dynamicRef" if draft == Draft::Draft202012 => Holds::Reference,
        "$defs" | "definitions" | "$id" | "$anchor" | "$dynamicAnchor" | "$recursiveAnchor"
        | "$schema" | "$vocabulary" => Holds::Nothing,
        "additionalProperties" | "propertyNames" | "contains" | "not" | "if" | "then" | "else" => {
            Holds::Schema
        }
        "unevaluatedProperties" | "unevaluatedItems" if !old => Holds::Schema,
        "additionalItems" if draft != Draft::Draft202012 => Holds::Schema,
        "items" => Holds::SchemaOrList,
        "allOf" | "anyOf" | "oneOf" => Holds::List,
        "prefixItems" if draft == Draft::Draft202012 => Holds::List,
        "properties" | "patternProperties" => Holds::Map,
        "dependentSchemas" if !old => Holds::Map,
        "dependencies" => Holds::MapOrNames,
        "type" | "enum" | "const" | "minimum" | "maximum" | "exclusiveMinimum"
        | "exclusiveMaximum" | "multipleOf" | "minLength" | "maxLength" | "pattern" | "format"
        | "minItems" | "maxItems" | "uniqueItems" | "minProperties" | "maxProperties"
        | "required" => Holds::Rule,
        "minContains" | "maxContains" | "dependentRequired" if !old => Holds::Rule,
        // Checked by that draft only.
        "contentEncoding" | "contentMediaType" if old => Holds::Rule,
        _ => Holds::Annotation,
    }
}
