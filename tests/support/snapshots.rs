//! The golden files of `tests/snapshots`.

/// Compares with the golden file of that name.
pub fn assert_golden(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => "../snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true
    }, {
        insta::assert_snapshot!(name, text);
    });
}
