use super::super::rebuild::Global;
use super::super::testing::Pickler;
use super::*;
use proptest::prelude::*;

fn refuse(pickle: &[u8], wanted: &str) {
    let error = parse(pickle).unwrap_err();
    assert!(error.contains(wanted), "expected {wanted:?} in {error:?}");
}

#[test]
fn numbers_and_text() {
    let (arena, value) =
        parse(b"\x80\x02(K\xffM\x01\x02J\xfe\xff\xff\xff\x8a\x00\x8a\x01\x80\x8a\x02\xff\x00t.").unwrap();
    let ints: Vec<_> = [255, 513, -2, 0, -128, 255].map(Value::Int).into();
    assert_eq!(arena.tuple(value).unwrap(), ints);
    let (arena, value) = parse(b"\x80\x02NG\x3f\xf8\0\0\0\0\0\0\x88\x87.").unwrap();
    assert_eq!(arena.tuple(value).unwrap(), [Value::None, Value::Float(1.5), Value::Bool(true)]);
    let (arena, value) = parse("\u{80}".replace('\u{80}', "X\u{2}\0\0\0\u{e9}.").as_bytes()).unwrap();
    assert_eq!(arena.text(value), Some("\u{e9}"));
    let (arena, value) = parse(b"\x8c\x03abc.").unwrap();
    assert_eq!(arena.text(value), Some("abc"));
    assert_eq!(
        parse(b"ctorch\nHalfStorage\n.").unwrap().1,
        Value::Global(Global::find("torch", "HalfStorage").unwrap())
    );
}

/// A collection that was remembered while empty is the one that was filled later, and may even hold itself.
#[test]
fn remembered_collections_are_shared() {
    let (arena, value) = parse(b"]q\x00(h\x00K\x07eh\x00\x86.").unwrap();
    let [a, b] = arena.tuple(value).unwrap() else { panic!() };
    assert_eq!(a, b);
    let Some(Node::List(items)) = arena.node(*a) else { panic!() };
    assert_eq!(items[..], [*a, Value::Int(7)]);
}

#[test]
fn refuses_what_could_run_code() {
    refuse(b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", "global os.system is not among");
    refuse(b"\x80\x02cbuiltins\neval\n.", "global builtins.eval");
    refuse(b"\x80\x02ctorch\nload\n.", "global torch.load");
    refuse(b"\x80\x02X\x02\0\0\0osX\x06\0\0\0system\x93.", "0x93 (STACK_GLOBAL)");
    refuse(b"\x80\x02(ios\nsystem\n.", "0x69 (INST)");
    refuse(b"\x80\x02\xff.", "0xff is not among");
    refuse(b"\x80\x04\x95", "protocol 2, torch.save's default, found 4");
    refuse(b"K\x01)R.", "expected a function, found 1");
    refuse(b"ctorch\nFloatStorage\n)R.", "expected a function");
}

#[test]
fn refuses_broken_programs() {
    refuse(b"", "expected 1 more bytes, found 0");
    refuse(b"\x80\x02", "byte 2: expected 1 more");
    refuse(b".", "expected 1 values on the stack, found 0");
    refuse(b"K\x01(.", "expected 1 values");
    refuse(b"K\x01K\x02.", "STOP: expected one value, found 2");
    refuse(b"K\x01(K\x02\x86.", "expected 2 values on the stack, found 1");
    refuse(b"t.", "expected a mark");
    refuse(b"K\x01K\x02a.", "expected a list, found 1");
    refuse(b"K\x01K\x02K\x03s.", "expected a dict, found 1");
    refuse(b"}(K\x02u.", "expected keys and values, found 1 items");
    refuse(b"K\x01}b.", "BUILD: expected a dict, found 1");
    refuse(b"h\x05.", "none under 5");
    refuse(b"X\xff\xff\xff\xffab", "expected 4294967295 more bytes, found 2");
    refuse(b"X\x01\0\0\0\xff.", "UTF-8");
    refuse(b"\x8a\x09123456789.", "at most 8 bytes, found 9");
    refuse(b"ctorch", "expected a line");
    refuse(&[b"c".to_vec(), vec![b'a'; 4000], b"\n".to_vec()].concat(), "a line of at most 256");
    refuse(b"NQ.", "persistent id: expected a storage, found None");
    refuse(b"ccollections\nOrderedDict\nK\x01R.", "expected a tuple of arguments");
    refuse(b"ccollections\nOrderedDict\n]\x85R.", "OrderedDict: expected no arguments");
    refuse(b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "expected 6 arguments, found 0");
    refuse(b"ctorch._utils\n_rebuild_parameter\n(NNNtR.", "expected a tensor and two flags");
}

/// Endless input of one kind ends at a bound, and deep nesting costs no stack.
#[test]
fn bounds_hold() {
    refuse(&vec![b'N'; MAX_STACK + 1], "values on the stack");
    refuse(&vec![b'('; MAX_STACK + 1], "open marks");
    refuse(&[b"]".to_vec(), b"]a".repeat(MAX_NODES)].concat(), &format!("at most {MAX_NODES} values"));
    let nested = [b")".to_vec(), vec![0x85; MAX_NODES / 2], b".".to_vec()].concat();
    let (arena, value) = parse(&nested).unwrap();
    assert_eq!(arena.describe(value), "a tuple of 1");
}

fn view(numel: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let mut p = Pickler::new();
    p.view("FloatStorage", "0", numel, offset, shape, strides);
    p.op(b".");
    p.out
}

#[test]
fn views_must_lie_inside_their_storage() {
    for (numel, offset, shape, strides) in [
        (15, 0, &[3, 5][..], &[5, 1][..]),
        (15, 3, &[4, 3], &[3, 1]),
        (15, 14, &[], &[]),
        (1, 0, &[1 << 30], &[0]),
        (0, 0, &[0, 1 << 60], &[i64::MAX, 1]),
    ] {
        let (arena, value) = parse(&view(numel, offset, shape, strides)).unwrap();
        assert!(matches!(arena.node(value), Some(Node::Tensor(_))));
    }
    for (numel, offset, shape, strides, wanted) in [
        (14, 0, &[3, 5][..], &[5, 1][..], "a view into the 14 elements"),
        (15, 1, &[3, 5], &[5, 1], "a view into"),
        (15, 15, &[], &[], "a view into"),
        (0, 0, &[1], &[1], "a view into"),
        (15, 0, &[3, 5], &[6, 1], "a view into"),
        (15, 0, &[2, 2], &[i64::MAX, i64::MAX], "a view into"),
        (15, 0, &[3], &[i64::MAX], "a view into"),
        (15, i64::MAX, &[2], &[i64::MAX], "a view into"),
        (15, 0, &[1 << 40, 1 << 40], &[0, 0], "a view into"),
        (15, 0, &[-3, 5], &[5, 1], "tensor size: expected a number from 0, found -3"),
        (15, 4, &[3], &[-1], "tensor stride: expected a number from 0, found -1"),
        (15, -1, &[3], &[1], "tensor offset: expected a number from 0, found -1"),
        (-15, 0, &[3], &[1], "storage length: expected a number from 0"),
        (15, 0, &[3, 5], &[1], "one stride per dimension"),
        (15, 0, &[1; 9], &[1; 9], "at most 8 dimensions, found 9"),
    ] {
        refuse(&view(numel, offset, shape, strides), wanted);
    }
}

#[test]
fn views_gather_in_row_major_order() {
    let bytes: Vec<u8> = (0..15).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let gather = |offset, shape: &[i64], strides: &[i64]| {
        let (arena, value) = parse(&view(15, offset, shape, strides)).unwrap();
        let Some(Node::Tensor(view)) = arena.node(value) else { panic!() };
        assert!(view.gather(&bytes[1..]).unwrap_err().contains("found 59 bytes"));
        view.gather(&bytes).unwrap()
    };
    assert_eq!(gather(3, &[2, 1, 3], &[3, 7, 1]), [3., 4., 5., 6., 7., 8.]);
    assert_eq!(gather(0, &[3, 2], &[1, 5]), [0., 5., 1., 6., 2., 7.]);
    assert_eq!(gather(14, &[], &[]), [14.]);
    assert_eq!(gather(2, &[3], &[0]), [2., 2., 2.]);
    assert!(gather(0, &[3, 0], &[5, 1]).is_empty());
}

proptest! {
    /// Any bytes give values or an error.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    /// Programs of known opcodes get deeper than random bytes.
    #[test]
    fn any_program(steps in proptest::collection::vec((0usize..OPCODES.len(), any::<[u8; 2]>()), 0..200)) {
        let mut program = vec![0x80, 2];
        for (i, [a, b]) in steps {
            let (opcode, arguments) = OPCODES[i];
            program.extend_from_slice(opcode);
            program.extend_from_slice(&[a % 8, b][..arguments]);
        }
        program.push(b'.');
        let _ = parse(&program);
    }
}

/// Opcodes and how many random bytes follow.
const OPCODES: &[(&[u8], usize)] = &[
    (b"N", 0),
    (b"\x88", 0),
    (b"K", 1),
    (b"M", 2),
    (b"\x8a", 1),
    (b"}", 0),
    (b"]", 0),
    (b")", 0),
    (b"(", 0),
    (b"t", 0),
    (b"\x85", 0),
    (b"\x86", 0),
    (b"\x87", 0),
    (b"a", 0),
    (b"e", 0),
    (b"s", 0),
    (b"u", 0),
    (b"q", 1),
    (b"h", 1),
    (b"R", 0),
    (b"b", 0),
    (b"Q", 0),
    (b"X\x07\0\0\0storage", 0),
    (b"ctorch\nFloatStorage\n", 0),
    (b"ctorch._utils\n_rebuild_tensor_v2\n", 0),
    (b"ctorch._utils\n_rebuild_parameter\n", 0),
    (b"ccollections\nOrderedDict\n", 0),
    (b"(X\x07\0\0\0storagectorch\nIntStorage\nX\x01\0\0\x000NK\x09tQ", 0),
];
