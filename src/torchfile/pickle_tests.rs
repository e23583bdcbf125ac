use super::*;
use crate::testing::Pickler;
use crate::value::MAX_VIEWS;
use proptest::prelude::*;

fn refuse(pickle: &[u8], wanted: &str) {
    let error = parse(pickle).unwrap_err();
    assert!(error.contains(wanted), "expected {wanted:?} in {error:?}");
}

#[test]
fn numbers_and_text() {
    let (arena, value, _) =
        parse(b"\x80\x02(K\xffM\x01\x02J\xfe\xff\xff\xff\x8a\x00\x8a\x01\x80\x8a\x02\xff\x00t.").unwrap();
    let ints: Vec<_> = [255, 513, -2, 0, -128, 255].map(Value::Int).into();
    assert_eq!(arena.tuple(value).unwrap(), ints);
    let (arena, value, _) = parse(b"\x80\x02NG\x3f\xf8\0\0\0\0\0\0\x88\x87.").unwrap();
    assert_eq!(arena.tuple(value).unwrap(), [Value::None, Value::Float(1.5), Value::Bool(true)]);
    let (arena, value, _) = parse("\u{80}".replace('\u{80}', "X\u{2}\0\0\0\u{e9}.").as_bytes()).unwrap();
    assert_eq!(arena.text(value), Some("\u{e9}"));
    for text in [&b"\x8c\x03abc."[..], b"U\x03abc.", b"T\x03\0\0\0abc."] {
        let (arena, value, used) = parse(text).unwrap();
        assert_eq!((arena.text(value), used), (Some("abc"), text.len()));
    }
    assert_eq!(parse(b"K\x07.K\x08.").unwrap().2, 3, "what follows is another pickle");
    assert_eq!(
        parse(b"ctorch\nHalfStorage\n.").unwrap().1,
        Value::Global(Global::find("torch", "HalfStorage").unwrap())
    );
}

/// A collection that was remembered while empty is the one that was filled later, and may even hold itself.
#[test]
fn remembered_collections_are_shared() {
    let (arena, value, _) = parse(b"]q\x00(h\x00K\x07eh\x00\x86.").unwrap();
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
    refuse(b"ccollections\nOrderedDict\n]]\x86R.", "OrderedDict: expected no arguments or pairs, found 2");
    refuse(b"ccollections\nOrderedDict\n}\x85R.", "OrderedDict: expected a list of pairs, found a dict of 0");
    refuse(b"ccollections\nOrderedDict\n](](K\x01ee\x85R.", "expected a key and its value, found a list of 1");
    refuse(b"ctorch._utils\n_rebuild_tensor\n(NNNNNtR.", "_rebuild_tensor: expected 4 arguments, found 5");
    refuse(b"ctorch.nn.parameter\nParameter\nN\x85\x81.", "Parameter: expected a tensor, found 1 arguments");
    refuse(b"ctorch.nn.parameter\nParameter\nN\x81.", "NEWOBJ: expected the class Parameter and a tuple");
    refuse(b"ccollections\nOrderedDict\n)\x81.", "NEWOBJ: expected the class Parameter");
    refuse(b"ctorch.nn.parameter\nParameter\n)\x81Nb.", "BUILD: expected the state of a parameter, found None");
    refuse(b"ctorch.nn.parameter\nParameter\n)\x81(NNNNNtb.", "BUILD: expected the tensor of a parameter, found None");
    refuse(b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "expected 6 arguments, found 0");
    refuse(b"ctorch._utils\n_rebuild_parameter\n(NNNtR.", "expected a tensor and two flags");
}

/// The forms in which PyTorch 0.1 to 0.3 and Python 2 wrote tensors and dicts.
#[test]
fn old_forms_mean_the_same() {
    let storage = b"(U\x07storagectorch\nFloatStorage\nU\x015U\x03cpuK\x09NtQ";
    let tensor = [b"ctorch._utils\n_rebuild_tensor\n(".as_slice(), storage, b"K\x02K\x03\x85K\x01\x85tR"].concat();
    let class = b"ctorch.nn.parameter\nParameter\n".as_slice();
    let parameters = [
        [&tensor, b".".as_slice()].concat(),
        [class, &tensor, b"\x85R."].concat(),
        [class, &tensor, b"\x88\x86R."].concat(),
        [class, &tensor, b"\x85R\x88\x89N\x87b."].concat(),
        [class, &tensor, b"\x85\x81\x88\x89N\x87b."].concat(),
        [class, b")\x81(", &tensor, b"NN\x88\x89tb."].concat(),
    ];
    for program in parameters {
        let (arena, value, _) = parse(&program).unwrap();
        let Some(Node::Tensor(view)) = arena.node(value) else { panic!("{}", arena.describe(value)) };
        assert_eq!((view.storage.key.as_str(), view.storage.len, view.storage.first), ("5", 9, 0));
        assert_eq!((view.offset, &view.shape[..], &view.strides[..]), (2, &[3][..], &[1][..]));
    }
    for pairs in
        [&b"ccollections\nOrderedDict\n](](U\x01aK\x01e](U\x01bK\x02ee\x85R."[..], b"}U\x01aK\x01sU\x01bK\x02s."]
    {
        let (arena, value, _) = parse(pairs).unwrap();
        let pairs = arena.dict(value).unwrap().iter().map(|&(key, value)| (arena.text(key).unwrap(), value));
        assert_eq!(pairs.collect::<Vec<_>>(), [("a", Value::Int(1)), ("b", Value::Int(2))]);
    }
}

/// Storages that are part of others, and what they may not claim.
#[test]
fn parts_of_storages() {
    let program = |part: &[u8]| [b"(U\x07storagectorch\nHalfStorage\nU\x015U\x03cpuK\x09", part, b"tQ."].concat();
    let (arena, value, _) = parse(&program(b"U\x016K\x04K\x05\x87")).unwrap();
    let Some(Node::Storage(storage)) = arena.node(value) else { panic!() };
    assert_eq!((storage.total, storage.first, storage.len), (9, 4, 5));
    refuse(&program(b"U\x016K\x04K\x06\x87"), "expected a part of 9 elements, found 6 from 4");
    refuse(&program(b"U\x016K\x01\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x87"), "expected a part of 9 elements");
    refuse(&program(b"U\x016K\x04\x86"), "expected a part of a storage, found a tuple of 2");
    refuse(&program(b"NN"), "expected a storage, found a tuple of 7");
}

/// Few bytes that name much are refused before they become memory.
#[test]
fn copies_are_bounded() {
    let key = [b"X\x41\0\0\0".as_slice(), &[b'7'; 65]].concat();
    let program = [b"(U\x07storagectorch\nFloatStorage\n", &key[..], b"U\x03cpuK\x09tQ."].concat();
    refuse(&program, "expected a key of at most 64 bytes, found 65");
    let list = [b"](".as_slice(), &b"NN\x86".repeat(4000), b"eq\0"].concat();
    let dicts = b"ccollections\nOrderedDict\nh\0\x85R".repeat(MAX_NODES / 4000 + 1);
    refuse(&[&list[..], &dicts].concat(), &format!("dicts of at most {MAX_NODES} pairs in all"));
    let storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x09tQ";
    let arguments = [b"(", &storage[..], b"K\0K\x09\x85K\x01\x85\x89ccollections\nOrderedDict\n)Rtq\x01"].concat();
    let tensors = |count| {
        [b"(ctorch._utils\n_rebuild_tensor_v2\nq\0", &arguments[..], b"]", &b"h\0h\x01Ra".repeat(count)].concat()
    };
    assert!(parse(&[&tensors(MAX_VIEWS)[..], b"t."].concat()).is_ok());
    refuse(&tensors(MAX_VIEWS + 1), &format!("at most {MAX_VIEWS} tensors"));
}

/// Endless input of one kind ends at a bound, and deep nesting costs no stack.
#[test]
fn bounds_hold() {
    refuse(&vec![b'N'; MAX_STACK + 1], "values on the stack");
    refuse(&vec![b'('; MAX_STACK + 1], "open marks");
    refuse(&[b"]".to_vec(), b"]a".repeat(MAX_NODES)].concat(), &format!("at most {MAX_NODES} values"));
    let nested = [b")".to_vec(), vec![0x85; MAX_NODES / 2], b".".to_vec()].concat();
    let (arena, value, _) = parse(&nested).unwrap();
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
        let (arena, value, _) = parse(&view(numel, offset, shape, strides)).unwrap();
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
        let (arena, value, _) = parse(&view(15, offset, shape, strides)).unwrap();
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
    (b"\x81", 0),
    (b"Q", 0),
    (b"X\x07\0\0\0storage", 0),
    (b"ctorch\nFloatStorage\n", 0),
    (b"ctorch._utils\n_rebuild_tensor_v2\n", 0),
    (b"ctorch._utils\n_rebuild_parameter\n", 0),
    (b"ctorch._utils\n_rebuild_tensor\n", 0),
    (b"ctorch.nn.parameter\nParameter\n", 0),
    (b"U\x03abc", 0),
    (b"ccollections\nOrderedDict\n", 0),
    (b"(X\x07\0\0\0storagectorch\nIntStorage\nX\x01\0\0\x000NK\x09tQ", 0),
];
