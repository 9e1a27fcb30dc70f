//! Goal: the normal form of an expression is a faithful and stable spelling.
//! Method: random trees as sources, printed and parsed again; fixed pairs for the spelling.

use eventfold_core::cel::parse;
use proptest::prelude::*;

/// Sources of random expressions.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just(".a".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-1".to_owned()),
        Just("0x1F".to_owned()),
        Just("7u".to_owned()),
        Just("1.50".to_owned()),
        Just("-.5e-3".to_owned()),
        "[a-z'\"\\\\\n\té🐱]{0,6}".prop_map(|text| format!("{text:?}")),
        Just("b'\\xff\\'a'".to_owned()),
        Just("r'\\d'".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.clone().prop_map(|x| format!("({x})")),
            inner.clone().prop_map(|x| format!("!({x})")),
            inner.clone().prop_map(|x| format!("-({x})")),
            inner.clone().prop_map(|x| format!("- {x}")),
            inner.clone().prop_map(|x| format!("({x}).f")),
            inner.clone().prop_map(|x| format!("({x}).?f")),
            inner.clone().prop_map(|x| format!("({x}).`f-g`")),
            inner.clone().prop_map(|x| format!("size({x})")),
            two.clone().prop_map(|(x, y)| format!("({x}).f({y}, {x})")),
            two.clone().prop_map(|(x, y)| format!("({x})[{y}]")),
            two.clone().prop_map(|(x, y)| format!("({x})[?{y}]")),
            two.clone().prop_map(|(x, y)| format!("[{x}, ?{y},]")),
            two.clone().prop_map(|(x, y)| format!("{{{x}: {y}, ?{y}: {x}}}")),
            (
                two.clone(),
                prop_oneof![
                    Just("+"),
                    Just("-"),
                    Just("*"),
                    Just("/"),
                    Just("%"),
                    Just("<"),
                    Just(">="),
                    Just("=="),
                    Just("in"),
                    Just("&&"),
                    Just("||"),
                ],
                any::<bool>(),
                any::<bool>()
            )
                .prop_map(|((x, y), operator, left, right)| {
                    let x = if left { format!("({x})") } else { x };
                    let y = if right { format!("({y})") } else { y };
                    format!("{x} {operator} {y}")
                }),
            (two, inner).prop_map(|((x, y), z)| format!("({x}) ? ({y}) : {z}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_printed_parses_to_the_same_tree(source in expression()) {
        let ast = parse(&source).map_err(|error| TestCaseError::fail(error.show(&source)))?;
        let printed = ast.print();
        let again = parse(&printed).map_err(|error| TestCaseError::fail(error.show(&printed)))?;
        prop_assert_eq!(&again, &ast, "{} is printed as {}", source, printed);
        prop_assert_eq!(again.print(), printed);
    }

    #[test]
    fn no_text_makes_the_parser_panic(
        source in "[a-z0-9 .,()\\[\\]{}?:!&|<>=+*/%'\"\\\\`_-]{0,60}",
    ) {
        if let Ok(ast) = parse(&source) {
            prop_assert_eq!(parse(&ast.print()), Ok(ast));
        }
    }
}

#[test]
fn the_normal_form() {
    for (source, printed) in [
        ("state.balance+event.amount", "state.balance + event.amount"),
        ("((a)+(b))*c", "(a + b) * c"),
        ("a+(b+c)", "a + (b + c)"),
        ("(a+b)+c", "a + b + c"),
        ("a&&b||c&&(d||e)", "a && b || c && (d || e)"),
        ("!(a)  // why\n", "!a"),
        ("-(1)", "-(1)"),
        ("- a", "-a"),
        ("a?b:(c?d:e)", "a ? b : c ? d : e"),
        ("\"it's\"", "'it\\'s'"),
        ("'''a\nb'''", "'a\\nb'"),
        ("b\"\\377x\"", "b'\\xffx'"),
        ("{'a' :1,?'b': x,}", "{'a': 1, ?'b': x}"),
        ("[1,2 , ?x]", "[1, 2, ?x]"),
        ("a.b[ 'c' ][?0].?d.e( 1 )", "a.b['c'][?0].?d.e(1)"),
        ("a.`b-c`.`d`", "a.`b-c`.d"),
        ("1.10 + 0x1f + 7U", "1.10 + 0x1f + 7u"),
        ("[1].map(x,x*2)", "[1].map(x, x * 2)"),
    ] {
        assert_eq!(parse(source).expect(source).print(), printed, "{source}");
    }
}

#[test]
fn errors_show_the_place() {
    let source = "state.a +\n  event.b * )";
    let error = parse(source).expect_err("invalid");
    assert_eq!(
        error.show(source),
        "an expression is missing before `)` at line 2, column 13\n  event.b * )\n            ^"
    );
}
