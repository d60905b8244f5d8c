//! Checks documents against `docs/chronyc.schema.json`: the few keywords of JSON Schema that it
//! uses. Another keyword in the schema is an error here, so that none goes unchecked.

use serde_json::Value;

/// The schema of the project.
pub(crate) fn schema() -> Value {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/chronyc.schema.json"
    ));
    serde_json::from_str(text).expect("the schema is JSON")
}

/// Why `value` does not conform to the whole schema, if so.
pub(crate) fn violation(root: &Value, value: &Value) -> Option<String> {
    check(root, root, value).err()
}

fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let keywords = schema.as_object().expect("a schema is an object");
    for (keyword, argument) in keywords {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "properties" => {}
            "$ref" => {
                let path = argument.as_str().and_then(|path| path.strip_prefix('#'));
                let target = path
                    .and_then(|path| root.pointer(path))
                    .expect("target of $ref");
                check(root, target, value)?;
            }
            "type" => check_type(argument, value)?,
            "minimum" => {
                if value
                    .as_f64()
                    .is_some_and(|number| Some(number) < argument.as_f64())
                {
                    return Err(format!("{value} is too small"));
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(root, argument, item)?;
                }
            }
            "required" => {
                for name in argument.as_array().expect("names") {
                    if value.get(name.as_str().expect("name")).is_none() {
                        return Err(format!("{name} is missing in {value}"));
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(argument, &Value::Bool(false));
                let known = schema.get("properties").expect("properties");
                for (name, member) in value.as_object().into_iter().flatten() {
                    let member_schema = known
                        .get(name)
                        .ok_or_else(|| format!("{name} is not in the schema"))?;
                    check(root, member_schema, member).map_err(|why| format!("{name}: {why}"))?;
                }
            }
            other => panic!("keyword {other} is not known here"),
        }
    }
    Ok(())
}

fn check_type(types: &Value, value: &Value) -> Result<(), String> {
    let is = |name: &Value| match name.as_str().expect("name of a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other} is not known here"),
    };
    let fits = match types {
        Value::Array(alternatives) => alternatives.iter().any(is),
        single => is(single),
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{value} is not {types}"))
    }
}
