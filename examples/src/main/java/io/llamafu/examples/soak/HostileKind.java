package io.llamafu.examples.soak;

import io.llamafu.ErrorCode;

import javax.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A kind of hostile record. The variants of a kind take turns.
 *
 * <p>Each record of a kind must have one outcome: an answer if {@link #mayBeAnswered}, or an error with one of {@link
 * #codes}. Codes that blame the deadline or the memory are not allowed, and codes that blame the engine only where a
 * record leaves it no token to choose.
 */
enum HostileKind {
    LONG_RUN(true, ErrorCode.PROMPT_TOO_LONG) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            String unit = HostileTexts.RUN_UNITS.get(variant % HostileTexts.RUN_UNITS.size());
            int length = variant / HostileTexts.RUN_UNITS.size() % 2 == 0 ? 64_000 : 4_000;
            return record.withText(unit.repeat(length));
        }
    },
    CONTROL_STRINGS(true, ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_TEXT) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withText(
                    HostileTexts.CONTROL_STRINGS.get(variant % HostileTexts.CONTROL_STRINGS.size()) + record.text());
        }
    },
    GIANT_TEXT(false, ErrorCode.PROMPT_TOO_LONG) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withText(
                    (record.text() + " ").repeat(5_000_000 / record.text().length()));
        }
    },
    INVALID_UTF_16(false, ErrorCode.INVALID_TEXT) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            String text = record.text();
            return record.withText(
                    switch (variant % 4) {
                        case 0 -> HIGH_SURROGATE + text;
                        case 1 -> text + HIGH_SURROGATE;
                        case 2 -> text.replaceFirst(" ", LOW_SURROGATE);
                        default -> LOW_SURROGATE + HIGH_SURROGATE;
                    });
        }
    },
    INVALID_BYTES(false, ErrorCode.INVALID_TEXT) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record;
        }

        @Override
        byte[] kafkaValue(SoakRecord record, int variant) {
            byte[] json = record.toJson();
            return switch (variant % 5) {
                case 0 -> Arrays.copyOf(json, json.length / 2);
                case 1 ->
                    ByteBuffer.wrap(json.clone()).put(json.length / 2, NO_UTF_8).array();
                case 2 -> new byte[0];
                case 3 -> null;
                default -> "[".repeat(100_000).getBytes(StandardCharsets.US_ASCII);
            };
        }
    },
    LONE_SURROGATE_IN_KEY(false, ErrorCode.INVALID_TEXT, ErrorCode.INVALID_REQUEST) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withKey(variant % 2 == 0 ? HIGH_SURROGATE + "x" : record.key() + LOW_SURROGATE + variant);
        }
    },
    LONE_SURROGATE_IN_ID(false, ErrorCode.INVALID_TEXT, ErrorCode.INVALID_REQUEST) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withId(variant % 2 == 0 ? HIGH_SURROGATE + "x" : record.id() + LOW_SURROGATE);
        }
    },
    NO_KEY(false, ErrorCode.INVALID_REQUEST) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withKey(null);
        }
    },
    NO_ID(true) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withId(null);
        }
    },
    NO_TEXT(false, ErrorCode.INVALID_REQUEST) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withText(null);
        }
    },
    NO_TIMESTAMP(false, ErrorCode.INVALID_REQUEST) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withStack(null).withEventTime(null);
        }
    },
    ABSURD_SCALE(false, ErrorCode.INVALID_REQUEST) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            String scale = HostileTexts.SCALES.get(variant / 2 % HostileTexts.SCALES.size());
            return variant % 2 == 0
                    ? record.withStack("medical:" + scale)
                    : record.withStack("medical").withScales(Map.of("medical", Float.valueOf(scale)));
        }
    },
    MALFORMED_STACK(false, ErrorCode.INVALID_REQUEST) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withStack(HostileTexts.MALFORMED_STACKS.get(variant % HostileTexts.MALFORMED_STACKS.size()));
        }
    },
    UNKNOWN_ADAPTER(false, ErrorCode.ADAPTER_NOT_FOUND) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withStack(variant % 2 == 0 ? "nobody-" + variant : "medical+nobody:0.5");
        }
    },
    MALFORMED_ADAPTER(false, ErrorCode.ADAPTER_INVALID, ErrorCode.ADAPTER_INCOMPATIBLE) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            List<String> names = AdapterFolder.MALFORMED;
            String name = names.get(variant % names.size());
            return record.withStack(variant / names.size() % 2 == 0 ? name : "formal+" + name);
        }
    },
    ABSURD_GRAMMAR(true, ErrorCode.INVALID_GRAMMAR, ErrorCode.GRAMMAR_TOO_COMPLEX, ErrorCode.ENGINE_FAILED) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            List<String> grammars = HostileGrammars.ALL;
            return record.withSampling(SoakSampling.grammar(grammars.get(variant % grammars.size())));
        }
    },
    ABSURD_SAMPLING(true, ErrorCode.INVALID_OPTION, ErrorCode.INVALID_REQUEST, ErrorCode.ENGINE_FAILED) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withSampling(SAMPLINGS.get(variant % SAMPLINGS.size()));
        }
    },
    ABSURD_LENGTH(true, ErrorCode.INVALID_REQUEST) {
        @Override
        SoakRecord spoil(SoakRecord record, int variant) {
            return record.withMaxTokens(
                    List.of(0, -1, Integer.MIN_VALUE, Integer.MAX_VALUE).get(variant % 4));
        }
    };

    private static final String HIGH_SURROGATE = "\uD83D";
    private static final String LOW_SURROGATE = "\uDE00";
    private static final byte NO_UTF_8 = (byte) 0xFF;

    private static final List<SoakSampling> SAMPLINGS = List.of(
            SoakSampling.temperature(1e-38f),
            SoakSampling.temperature(1e-38f).withGrammar("root ::= [a-z ]+"),
            SoakSampling.temperature(Float.MIN_VALUE),
            SoakSampling.temperature(Float.MAX_VALUE),
            SoakSampling.temperature(Float.NaN),
            SoakSampling.temperature(-1),
            SoakSampling.filters(-1, 1, 0, 1),
            SoakSampling.filters(Integer.MAX_VALUE, Float.MIN_VALUE, 0, Float.MIN_VALUE),
            SoakSampling.filters(0, 0, 1, 0),
            SoakSampling.mirostat(Float.MIN_VALUE),
            SoakSampling.mirostat(Float.MAX_VALUE),
            SoakSampling.penalties(1, 0, 0, 400_000_000),
            SoakSampling.penalties(1, 0, 0, Integer.MIN_VALUE),
            SoakSampling.penalties(Float.MAX_VALUE, Float.MAX_VALUE, Float.MAX_VALUE, -1),
            SoakSampling.penalties(Float.MIN_VALUE, -Float.MAX_VALUE, -Float.MAX_VALUE, 64),
            SoakSampling.seed(-1),
            SoakSampling.logitBias(Map.of(1_000_000_000, 1f)),
            SoakSampling.logitBias(Map.of(-1, 1f)),
            SoakSampling.logitBias(Map.of(5, Float.POSITIVE_INFINITY)),
            SoakSampling.logitBias(Map.of(5, Float.MAX_VALUE)),
            SoakSampling.logitBias(IntStream.range(0, 1_024)
                    .boxed()
                    .collect(Collectors.toMap(token -> token, token -> Float.NEGATIVE_INFINITY))));

    private final boolean answers;

    @SuppressWarnings("ImmutableEnumChecker") // made by Set.of
    private final Set<ErrorCode> codes;

    HostileKind(boolean answers, ErrorCode... codes) {
        this.answers = answers;
        this.codes = Set.of(codes);
    }

    /** Turns a healthy record into one of this kind. */
    abstract SoakRecord spoil(SoakRecord record, int variant);

    /** The value to send for the record; null is a Kafka tombstone. */
    @Nullable
    byte[] kafkaValue(SoakRecord record, int variant) {
        return record.toJson();
    }

    boolean mayBeAnswered() {
        return answers;
    }

    Set<ErrorCode> codes() {
        return codes;
    }
}
