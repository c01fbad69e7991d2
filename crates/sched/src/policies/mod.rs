//! Every built-in scheduler, one file each.

use crate::SchedulerDef;

macro_rules! schedulers {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// The built-in schedulers, in the order in which they are listed and coloured.
        pub static ALL: &[SchedulerDef] = &[$($module::DEF),*];
    };
}

schedulers! {
    round_robin,
    random,
    least_loaded,
}
