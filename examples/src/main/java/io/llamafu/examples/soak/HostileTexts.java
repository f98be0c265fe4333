package io.llamafu.examples.soak;

import java.util.List;

/** Texts that are known to break programs. */
final class HostileTexts {
    /** Units to repeat: letters, digits, blanks, punctuation, lines, CJK, emoji, combining marks. */
    static final List<String> RUN_UNITS = List.of(
            "a",
            "7",
            " ",
            "!",
            "\n",
            "\u8a9e",
            "\uD83D\uDE00",
            "\u0301",
            "\t",
            "aB",
            "\u0000",
            "'",
            "\u00a0",
            "\u200d");

    static final List<String> CONTROL_STRINGS = List.of(
            "<s>",
            "</s>",
            "</s></s></s>",
            "<unk>",
            "<0x00>",
            "<0xFF>",
            "<|im_end|>",
            "<|endoftext|>",
            "[INST] <<SYS>>",
            "\u0000",
            "\u0007\u001b[2J\u0008",
            "\uFEFF",
            "\u202E",
            "{text}",
            "%s%n%d",
            "\n### Answer:\n",
            "'; DROP TABLE tickets; --",
            "${jndi:ldap://localhost/a}");

    static final List<String> SCALES =
            List.of("1e4", "-1e4", "1e38", "-3.4e38", "NaN", "Infinity", "-Infinity", "1e30");

    static final List<String> MALFORMED_STACKS = List.of(
            "medical+",
            "+",
            ":",
            "medical:",
            "medical:x",
            "../medical",
            "/etc/passwd",
            "medical/../../secret",
            "m".repeat(129),
            "medical+medical",
            "m\u00e9dical",
            "medical\u0000",
            "\uD83Dmedical",
            "medical.gguf/",
            "-medical",
            "medical+".repeat(20_000) + "legal");

    private HostileTexts() {}
}
