use super::*;
use crate::report::data::Scores;
use crate::report::{summary, testing};

/// What is wrong with the tags of a piece of XML, if anything: not closed in order, attributes without quotes, or bare
/// special characters.
fn flaw(xml: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    for (i, piece) in xml.split('<').enumerate() {
        let (tag, text) = match (i, piece.split_once('>')) {
            (0, _) => ("", piece),
            (_, Some(pair)) => pair,
            (_, None) => return Some(format!("\"<{piece}\" has no end")),
        };
        for bare in text.split('&').skip(1) {
            if !["amp;", "lt;", "gt;", "quot;", "apos;"].iter().any(|entity| bare.starts_with(entity)) {
                return Some(format!("\"&{bare}\" is no entity"));
            }
        }
        if text.contains('>') || text.chars().any(|c| c.is_control() && c != '\n') {
            return Some(format!("\"{text}\" is not escaped"));
        }
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return Some(format!("</{name}> closes nothing"));
            }
        } else if i > 0 && !tag.ends_with('/') {
            open.push(name);
        }
        if tag.matches('"').count() % 2 != 0 || tag.matches("=\"").count() * 2 != tag.matches('"').count() {
            return Some(format!("<{tag}> has broken attributes"));
        }
    }
    open.pop().map(|name| format!("<{name}> is not closed"))
}

/// All plots, whose pictures are well formed, of finite coordinates within their frames.
fn checked(metrics: &Metrics) -> Vec<Plot> {
    let plots = plots(metrics);
    for plot in &plots {
        let Some(svg) = &plot.svg else {
            assert!(plot.note.starts_with("Left out: "), "{plot:?}");
            continue;
        };
        assert_eq!(flaw(svg), None, "{}", plot.title);
        assert!(!plot.legend.is_empty(), "{}", plot.title);
        let attributes = |name: &str| {
            let start = format!(" {name}=\"");
            let value = |rest: &str| rest.split('"').next().unwrap().parse::<f64>().unwrap_or(f64::NAN);
            svg.split(&start).skip(1).map(value).collect::<Vec<_>>()
        };
        let height: f64 = svg.split(' ').nth(4).unwrap().trim_matches('"').parse().unwrap();
        for (name, most) in [
            ("x", 500.0),
            ("cx", 500.0),
            ("x1", 500.0),
            ("width", 500.0),
            ("y", height),
            ("cy", height),
            ("height", height),
        ] {
            for value in attributes(name) {
                assert!((0.0..=most).contains(&value), "{}: {name} is {value}, limit {most}", plot.title);
            }
        }
    }
    plots
}

fn titles(plots: &[Plot]) -> Vec<(&str, bool)> {
    plots.iter().map(|plot| (plot.title.as_str(), plot.svg.is_some())).collect()
}

#[test]
fn the_parser_finds_flaws() {
    assert_eq!(flaw("<a x=\"1\">t &amp; <b/></a>"), None);
    for bad in ["<a>", "</a>", "<a><b></a></b>", "<a x=1\"/>", "<a>&nbsp;</a>", "<a>x > y</a>", "<a", "<a>\u{1}</a>"] {
        assert!(flaw(bad).is_some(), "{bad}");
    }
}

#[test]
fn all_plots_are_drawn() {
    let plots = checked(&testing::metrics());
    let experts = format!("Experts of {}", testing::MIXED);
    assert_eq!(
        titles(&plots),
        [
            ("PSNR against time", true),
            ("PSNR by scene", true),
            ("Operations of a ray", true),
            ("Where the time goes", true),
            ("Modelled energy of an image", true),
            (&experts, true),
        ]
    );
    // The model's name is cut or escaped, never bare.
    let all: String = plots.iter().filter_map(|plot| plot.svg.as_deref()).collect();
    assert!(all.contains("gnt-&lt;b&gt;shift&amp;add&lt;/b&gt; &quot;x&quot;") && !all.contains("<b>"));
    assert!(!all.contains("http"), "no name space, no reference");
    let svg = |i: usize| plots[i].svg.as_deref().unwrap();
    // Two models on three scenes and their means; the figures stand beside the bars.
    assert_eq!(svg(1).matches("fill=\"#1F77BE\"").count(), 4);
    assert!(svg(1).contains("\n27.00\n"), "{}", svg(1));
    assert_eq!(svg(0).matches("<circle").count(), 2);
    // 300 J dense, 90 J with experts, and the 8-bit reference.
    for total in ["\n300 J\n", "\n90.0 J\n", "\n60.0 J\n"] {
        assert!(svg(4).contains(total), "{total}");
    }
    assert!(svg(5).contains("block 1 ray") && svg(5).contains("\n69.0 %\n"));
    assert_eq!(plots[1].legend[0], (testing::DENSE.to_owned(), [31, 119, 190]));
}

#[test]
fn numbers_of_views_are_told_apart() {
    let plots = checked(&testing::few_views());
    let bars: Vec<&str> = plots.iter().map(|p| p.title.as_str()).filter(|t| t.starts_with("PSNR by")).collect();
    assert_eq!(
        bars,
        ["PSNR by scene, 1 source view", "PSNR by scene, 2 source views", "PSNR by scene, 3 source views"]
    );
    assert!(plots[2].svg.as_deref().unwrap().contains("lego (test)"));
}

#[test]
fn plots_without_data_are_left_out() {
    let plots = checked(&testing::empty());
    assert_eq!(plots.len(), 6);
    assert!(plots.iter().all(|plot| plot.svg.is_none()), "{:?}", titles(&plots));

    let mut metrics = testing::metrics();
    metrics.latencies.clear();
    let plots = checked(&metrics);
    assert_eq!(titles(&plots)[0], ("PSNR against time", false));
    assert_eq!(titles(&plots)[3], ("Where the time goes", false));

    let mut metrics = testing::metrics();
    for case in &mut metrics.cases {
        case.operations = Default::default();
        case.modelled = Default::default();
        case.routed.clear();
    }
    let left_out: Vec<bool> = checked(&metrics).iter().map(|plot| plot.svg.is_none()).collect();
    assert_eq!(left_out, [false, false, true, false, true, true]);
}

#[test]
fn degenerate_values_are_drawn_or_left_out() {
    // One model on one scene with one image.
    let single = testing::build(&["fern"], &[testing::DENSE], &[10], "held-out");
    let plots = checked(&single);
    assert_eq!(plots.iter().filter(|plot| plot.svg.is_some()).count(), 5);
    assert!(!plots[1].svg.as_deref().unwrap().contains("mean"), "one scene has no mean");

    // Values that are equal, zero, tiny, huge or no numbers.
    for value in [0.0, -0.0, 1e-300, 60.0, 1e12, -3.0, f64::NAN, f64::INFINITY] {
        let mut metrics = testing::metrics();
        for case in &mut metrics.cases {
            case.images.iter_mut().for_each(|i| i.scores = Scores { psnr: value, ..i.scores });
            summary::complete(case);
            case.modelled.memory = value;
            case.modelled.dense_joules = value;
        }
        metrics.summaries = summary::summaries(&metrics.cases);
        for latency in &mut metrics.latencies {
            latency.median = value;
            latency.stages[0].1 = value;
        }
        for plot in checked(&metrics) {
            let svg = plot.svg.unwrap_or_default();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{value}: {}", plot.title);
        }
    }
}

#[test]
fn many_scenes_and_models_with_long_names() {
    let scenes: Vec<String> = (0..40).map(|i| format!("a scene with a long name & a number {i}\u{7}")).collect();
    let models: Vec<String> = (0..9).map(|i| format!("model <{i}> {}", "with a name ".repeat(12))).collect();
    let refs = |names: &'_ [String]| names.iter().map(|n| n.clone().leak() as &str).collect::<Vec<&str>>();
    let metrics = testing::build(&refs(&scenes), &refs(&models), &[10], "held-out");
    let plots = checked(&metrics);
    let bars = plots[1].svg.as_deref().unwrap();
    assert_eq!(bars.matches("<rect").count(), 41 * 9 + 1, "bars, and the ground of the mean");
}

#[test]
fn unknown_stages_are_not_guessed() {
    let mut metrics = testing::metrics();
    for latency in &mut metrics.latencies {
        latency.stages.push(("magic".into(), 0.5));
    }
    assert!(plots(&metrics)[3].svg.is_none());
}
