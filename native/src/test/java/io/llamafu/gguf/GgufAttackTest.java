package io.llamafu.gguf;

import io.llamafu.ErrorCode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

import static io.llamafu.testing.Failures.assertFails;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** One file for each way in which a field can be wrong. */
class GgufAttackTest {
    private static final int STRING = 8;
    private static final int ARRAY = 9;
    private static final int UINT32 = 4;
    private static final int F32 = 0;

    @TempDir
    Path folder;

    @ParameterizedTest(name = "{0}")
    @MethodSource("attacks")
    void isRefused(String attack, GgufBytes bytes, String message) throws Exception {
        Path file = Files.write(folder.resolve("attack.gguf"), bytes.zeros(4096).bytes());

        assertFails(() -> GgufReader.read(file, GgufKind.MODEL), ErrorCode.MODEL_INVALID, message);
    }

    static Stream<Arguments> attacks() {
        return Stream.of(
                arguments("magic", new GgufBytes().raw("GGML").int32(3), "is no GGUF file"),
                arguments("version 1", new GgufBytes().raw("GGUF").int32(1), "has GGUF version 1"),
                arguments("version 4", new GgufBytes().raw("GGUF").int32(4), "has GGUF version 4"),
                arguments("big-endian", new GgufBytes().raw("GGUF").int32(3 << 24), "big-endian"),
                arguments("tensor count", GgufBytes.header(Long.MAX_VALUE, 0), "9223372036854775807 tensors"),
                arguments("negative tensor count", GgufBytes.header(-1, 0), "18446744073709551615 tensors"),
                arguments("metadata count", GgufBytes.header(0, 1L << 40), "metadata entries"),
                arguments("key length", GgufBytes.header(0, 1).int64(1L << 62), "a length of 4611686018427387904"),
                arguments("empty key", GgufBytes.header(0, 1).string(""), "must be 1 to 1024"),
                arguments("binary key", GgufBytes.header(0, 1).string("a\nb"), "not printable ASCII"),
                arguments("value type", GgufBytes.header(0, 1).string("k").int32(13), "unknown value type 13"),
                arguments(
                        "string length",
                        GgufBytes.header(0, 1).string("k").int32(STRING).int64(1L << 40),
                        "'k' takes 1099511627776 bytes"),
                arguments(
                        "negative string length",
                        GgufBytes.header(0, 1).string("k").int32(STRING).int64(-1),
                        "18446744073709551615 bytes"),
                arguments(
                        "nested array",
                        GgufBytes.header(0, 1)
                                .string("k")
                                .int32(ARRAY)
                                .int32(ARRAY)
                                .int64(1),
                        "arrays within the array"),
                arguments(
                        "array length",
                        GgufBytes.header(0, 1)
                                .string("k")
                                .int32(ARRAY)
                                .int32(UINT32)
                                .int64(1L << 61),
                        "2305843009213693952 elements"),
                arguments(
                        "string array length",
                        GgufBytes.header(0, 1)
                                .string("k")
                                .int32(ARRAY)
                                .int32(STRING)
                                .int64(1 << 20),
                        "1048576 elements"),
                arguments(
                        "string in array",
                        GgufBytes.header(0, 1)
                                .string("k")
                                .int32(ARRAY)
                                .int32(STRING)
                                .int64(1)
                                .int64(1 << 20),
                        "'k' takes 1048576 bytes"),
                arguments(
                        "duplicate key",
                        GgufBytes.header(0, 2)
                                .string("k")
                                .int32(UINT32)
                                .int32(1)
                                .string("k")
                                .int32(UINT32)
                                .int32(1),
                        "'k' twice"),
                arguments("alignment 0", alignment(UINT32, 0), "power of two"),
                arguments("alignment 24", alignment(UINT32, 24), "power of two"),
                arguments("alignment 2^31", alignment(UINT32, 1 << 31), "power of two"),
                arguments("alignment type", alignment(5, 32), "power of two"),
                arguments(
                        "long tensor name",
                        GgufBytes.header(1, 0).tensor("x".repeat(64), F32, 0, 1),
                        "must be 1 to 63"),
                arguments("no dimension", GgufBytes.header(1, 0).tensor("t", F32, 0), "0 dimensions"),
                arguments("five dimensions", GgufBytes.header(1, 0).tensor("t", F32, 0, 1, 1, 1, 1, 1), "5 dimensions"),
                arguments("zero dimension", GgufBytes.header(1, 0).tensor("t", F32, 0, 0), "a dimension of 0"),
                arguments(
                        "negative dimension",
                        GgufBytes.header(1, 0).tensor("t", F32, 0, -1),
                        "a dimension of 18446744073709551615"),
                arguments(
                        "product of dimensions",
                        GgufBytes.header(1, 0).tensor("t", F32, 0, 1L << 32, 1L << 32),
                        "overflows"),
                arguments("bytes of dimensions", GgufBytes.header(1, 0).tensor("t", F32, 0, 1L << 62), "overflows"),
                arguments("tensor type", GgufBytes.header(1, 0).tensor("t", 43, 0, 32), "unknown type 43"),
                arguments("retired type", GgufBytes.header(1, 0).tensor("t", 4, 0, 32), "unknown type 4"),
                arguments("part of a block", GgufBytes.header(1, 0).tensor("t", 8, 0, 33), "multiple of 32"),
                arguments("offset", GgufBytes.header(1, 0).tensor("t", F32, 32, 8), "at offset 32"),
                arguments("negative offset", GgufBytes.header(1, 0).tensor("t", F32, -32, 8), "at offset 1844"),
                arguments(
                        "overlap",
                        GgufBytes.header(2, 0).tensor("t", F32, 0, 16).tensor("u", F32, 32, 16),
                        "the tensor before it ends at 64"),
                arguments(
                        "duplicate tensor",
                        GgufBytes.header(2, 0).tensor("t", F32, 0, 8).tensor("t", F32, 32, 8),
                        "tensor 't' twice"),
                arguments("data", GgufBytes.header(1, 0).tensor("t", F32, 0, 1 << 20), "is cut off"),
                arguments(
                        "sum of sizes",
                        GgufBytes.header(2, 0).tensor("t", F32, 0, 1L << 60).tensor("u", F32, 1L << 62, 1L << 60),
                        "is cut off"));
    }

    private static GgufBytes alignment(int type, int value) {
        return GgufBytes.header(0, 1).string("general.alignment").int32(type).int32(value);
    }
}
