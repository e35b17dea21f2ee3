//! `getrandom` of libc with the same bytes in every process, a stream for each thread; to be preloaded (`LD_PRELOAD`).
//!
//! Everything random that our own seams do not reach draws from it: the order in which tokio's `select!` and `watch` turn to
//! their waiters, openraft's election time-outs, the hash maps. tokio has a seed of its own only with `--cfg tokio_unstable`,
//! which would be another build of all that stands on it. No crate of ours contains this; who runs the simulation compiles it.

use std::cell::Cell;
use std::ffi::{c_char, c_long, c_void};

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0x0e5e_7ee7) };
}

#[cfg(target_arch = "x86_64")]
const GETRANDOM: c_long = 318;
#[cfg(target_arch = "aarch64")]
const GETRANDOM: c_long = 278;

/// The next definition of a symbol, behind this library's (dlsym(3)).
const NEXT: *mut c_void = -1isize as *mut c_void;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

type Syscall = unsafe extern "C" fn(c_long, c_long, c_long, c_long, c_long, c_long, c_long) -> c_long;

/// As getrandom(2) says, but not random (splitmix64).
///
/// # Safety
/// `buffer` has room for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, len: usize, _flags: u32) -> isize {
    STATE.with(|state| {
        for i in 0..len {
            let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            state.set(next);
            let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            unsafe { *buffer.add(i) = (mixed >> 32) as u8 };
        }
    });
    len as isize
}

/// syscall(2), but for `getrandom`, which some call by its number.
///
/// # Safety
/// As syscall(2) says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    unsafe {
        if number == GETRANDOM {
            return getrandom(a as *mut u8, b as usize, c as u32) as c_long;
        }
        let next = dlsym(NEXT, c"syscall".as_ptr());
        std::mem::transmute::<*mut c_void, Syscall>(next)(number, a, b, c, d, e, f)
    }
}
