//! A library of three GPUs that are not there, and what is made of its answers.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many fakes are started now.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A handle that a fake gave out, as its GPU's number.
fn number(handle: Handle) -> u32 {
    handle.addr() as u32 - 1
}

/// # Safety
/// `text` must have room for so many bytes.
unsafe fn write(words: &str, text: *mut c_char, len: c_uint) -> Status {
    let words = CString::new(words).unwrap();
    let bytes = words.as_bytes_with_nul();
    assert!(bytes.len() <= len as usize);
    // SAFETY: there is room for so many bytes.
    unsafe { text.copy_from_nonoverlapping(bytes.as_ptr().cast(), bytes.len()) };
    0
}

unsafe extern "C" fn init() -> Status {
    STARTED.fetch_add(1, Relaxed);
    0
}
unsafe extern "C" fn shutdown() -> Status {
    STARTED.fetch_sub(1, Relaxed);
    0
}
unsafe extern "C" fn error_string(status: Status) -> *const c_char {
    match status {
        3 => c"Not Supported".as_ptr(),
        6 => c"Not Found".as_ptr(),
        _ => std::ptr::null(),
    }
}
unsafe extern "C" fn driver_version(text: *mut c_char, len: c_uint) -> Status {
    // SAFETY: the caller gives room.
    unsafe { write("580.1", text, len) }
}
unsafe extern "C" fn device_count(count: *mut c_uint) -> Status {
    // SAFETY: the caller gives room.
    unsafe { *count = 3 };
    0
}
unsafe extern "C" fn by_index(index: c_uint, handle: *mut Handle) -> Status {
    if index > 2 {
        return 6;
    }
    // SAFETY: the caller gives room.
    unsafe { *handle = std::ptr::without_provenance_mut(index as usize + 1) };
    0
}
unsafe extern "C" fn by_address(address: *const c_char, handle: *mut Handle) -> Status {
    // SAFETY: the caller gives text and room.
    unsafe { if CStr::from_ptr(address) == c"0000:65:00.0" { by_index(1, handle) } else { 6 } }
}
unsafe extern "C" fn uuid(handle: Handle, text: *mut c_char, len: c_uint) -> Status {
    let words = ["GPU-aa11", "GPU-aa22", "GPU-bb33"][number(handle) as usize];
    // SAFETY: the caller gives room.
    unsafe { write(words, text, len) }
}
unsafe extern "C" fn name(handle: Handle, text: *mut c_char, len: c_uint) -> Status {
    // SAFETY: the caller gives room.
    unsafe { write(&format!("Fake {}", number(handle)), text, len) }
}
unsafe extern "C" fn mig_mode(handle: Handle, current: *mut c_uint, pending: *mut c_uint) -> Status {
    // SAFETY: the caller gives room.
    unsafe { (*current, *pending) = (number(handle) & 1, 0) };
    0
}
unsafe extern "C" fn energy(handle: Handle, energy: *mut c_ulonglong) -> Status {
    if number(handle) == 2 {
        return 3;
    }
    // SAFETY: the caller gives room.
    unsafe { *energy = 5_000_000_000_500 };
    0
}
unsafe extern "C" fn power(_: Handle, power: *mut c_uint) -> Status {
    // SAFETY: the caller gives room.
    unsafe { *power = 250_500 };
    0
}
unsafe extern "C" fn clock(_: Handle, clock: c_uint, mhz: *mut c_uint) -> Status {
    // SAFETY: the caller gives room.
    unsafe { *mhz = 1000 * clock };
    0
}
unsafe extern "C" fn temperature(_: Handle, sensor: c_uint, _: *mut c_uint) -> Status {
    if sensor == 0 { 999 } else { 2 }
}

/// A library with three GPUs: the second is cut into instances, the third counts no energy, and none tells its
/// temperature.
pub fn fake() -> Nvml {
    let functions = Functions {
        init,
        shutdown,
        error_string,
        driver_version,
        device_count,
        by_index,
        by_address,
        uuid,
        name,
        mig_mode,
        energy,
        power,
        clock,
        temperature,
    };
    Nvml::start(functions, None).unwrap()
}

#[test]
fn answers_and_errors_are_passed_on() {
    let nvml = fake();
    let second = nvml.device_by_address("0000:65:00.0").unwrap();
    assert_eq!((nvml.uuid(second), nvml.name(second)), (Ok("GPU-aa22".into()), Ok("Fake 1".into())));
    assert_eq!(nvml.is_partitioned(second), Ok(true));
    assert_eq!(nvml.millijoules(second), Ok(5_000_000_000_500));
    assert_eq!([Clock::Multiprocessors, Clock::Memory].map(|c| nvml.mhz(second, c).unwrap()), [1000, 2000]);
    assert_eq!(nvml.celsius(second), Err("error 999".into()));
    let third = nvml.device_by_index(2).unwrap();
    assert_eq!(nvml.millijoules(third), Err("Not Supported".into()));
    assert_eq!(nvml.device_by_index(3).unwrap_err(), "Not Found");
    assert!(nvml.device_by_address("a\0b").unwrap_err().contains("zero byte"));
    assert_eq!((nvml.device_count(), nvml.driver_version()), (Ok(3), Ok("580.1".into())));
}

#[test]
fn what_is_started_is_shut_down() {
    let before = STARTED.load(Relaxed);
    let all: Vec<Nvml> = (0..100).map(|_| fake()).collect();
    assert!(STARTED.load(Relaxed) >= before.saturating_sub(10) + 90);
    drop(all);
    assert!(STARTED.load(Relaxed) < 90);
}
