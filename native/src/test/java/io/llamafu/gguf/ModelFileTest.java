package io.llamafu.gguf;

import io.llamafu.ErrorCode;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** Files that would make llama.cpp end the process, or that are not models. */
class ModelFileTest {
    @TempDir
    Path folder;

    @Test
    void readsTheTinyModel() {
        ModelFile model = ModelFile.read(TinyModel.model());

        assertThat(model.architecture()).isEqualTo("llama");
        assertThat(model.blockCount()).isEqualTo(4);
        assertThat(model.embeddingLength()).isEqualTo(128);
        assertThat(model.contextLength()).isEqualTo(512);
        assertThat(model.headCount()).isEqualTo(4);
        assertThat(model.keyValueHeadCount()).isEqualTo(2);
        assertThat(model.vocabularySize()).isEqualTo(1024);
    }

    @Test
    void anAdapterIsNoModel() {
        assertFails(
                () -> ModelFile.read(TinyModel.adapters().resolve("medical.gguf")),
                ErrorCode.MODEL_INVALID,
                "has general.type 'adapter', but a model is needed; put adapters into the adapter folder");
    }

    @Test
    void theLeastModelIsAccepted() throws IOException {
        assertThat(ModelFile.read(write(new Model().writer())).vocabularySize()).isEqualTo(4);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("faults")
    void isRefused(String fault, UnaryOperator<Model> change, String message) throws IOException {
        Path path = write(change.apply(new Model()).writer());

        assertFails(() -> ModelFile.read(path), ErrorCode.MODEL_INVALID, message);
    }

    static Stream<Arguments> faults() {
        return Stream.of(
                fault("no layers", model -> model.blocks(0), "has 'llama.block_count' as 0"),
                fault("many layers", model -> model.blocks(513), "has 'llama.block_count' as 513"),
                fault("heads", model -> model.heads(4, 3), "the first a multiple of the second"),
                fault("many heads", model -> model.heads(1L << 31, 1), "2147483648 attention heads"),
                fault("odd heads", model -> model.heads(1, 1).embedding(33), "33 rotated dimensions"),
                fault(
                        "head widths",
                        model -> model.with(writer -> writer.uint32("llama.attention.key_length", 16)),
                        "16 keys, 8 values"),
                fault(
                        "experts",
                        model -> model.with(writer -> writer.uint32("llama.expert_used_count", 2)),
                        "has 'llama.expert_used_count' as 2"),
                fault(
                        "experts of a block",
                        model -> model.blocks(2).with(writer -> writer.uint32("llama.expert_count", 4)
                                .uint32s("llama.expert_used_count", new int[] {0, 2})),
                        "of which a block uses none"),
                fault(
                        "no sections",
                        model -> model.with(
                                writer -> writer.int32s("llama.rope.dimension_sections", new int[] {0, 0, 0, 4})),
                        "do not fit"),
                fault(
                        "many sections",
                        model -> model.with(
                                writer -> writer.int32s("llama.rope.dimension_sections", new int[] {1, 1, 1, 1, 1})),
                        "has 5 sections"),
                fault(
                        "long sections",
                        model -> model.with(
                                writer -> writer.int32s("llama.rope.dimension_sections", new int[] {4, 4, 4, 0})),
                        "do not fit"),
                fault(
                        "more rotated than there is",
                        model -> model.with(writer -> writer.uint32("llama.rope.dimension_count_swa", 16)),
                        "16 of 8 in a window"),
                fault(
                        "nothing rotated",
                        model -> model.with(writer -> writer.uint32("llama.rope.dimension_count", 0)),
                        "has 'llama.rope.dimension_count' as 0"),
                fault("no heads", model -> model.heads(0, 0), "as 0 in the first block"),
                fault(
                        "an empty state",
                        model -> model.with(writer -> writer.uint32("llama.ssm.time_step_rank", 0)),
                        "has 'llama.ssm.time_step_rank' as 0"),
                fault(
                        "looks ahead",
                        model -> model.with(writer -> writer.bool("llama.attention.causal", false)),
                        "choose a decoder-only model"),
                fault(
                        "rope scaling",
                        model -> model.with(writer -> writer.string("llama.rope.scaling.type", "warp")),
                        "'warp'"),
                fault(
                        "epsilon",
                        model -> model.with(
                                writer -> writer.float32("llama.attention.layer_norm_rms_epsilon", Float.NaN)),
                        "as NaN"),
                fault("split", model -> model.with(writer -> writer.uint32("split.count", 3)), "one of 3 parts"),
                fault("no tokens", model -> model.tokens(List.of()), "has 0 tokens"),
                fault("same tokens", model -> model.tokens(List.of("a", "b", "c", "a")), "the same text"),
                fault("same up to NUL", model -> model.tokens(List.of("a", "b\0c", "b\0d", "e")), "the same text"),
                fault("same as empty", model -> model.tokens(List.of("[EMPTY_1]", "", "c", "d")), "the same text"),
                fault("same as a later empty", model -> model.tokens(emptyTokens()), "the same text"),
                fault("no start token", model -> model.tokens(List.of("a")), "adds a bos token"),
                fault(
                        "byte token",
                        model -> model.with(
                                writer -> writer.int32s("tokenizer.ggml.token_type", new int[] {1, 1, 1, 6})),
                        "has token 3 as a byte"),
                fault(
                        "few scores",
                        model -> model.with(writer -> writer.float32s("tokenizer.ggml.scores", new float[3])),
                        "needs one of"),
                fault("tokenizer", model -> model.tokenizer("bert"), "has the tokenizer 'bert'"),
                fault("embedding type", model -> model.embeddings(GgufTensorType.F64), "in F64"),
                fault("norm type", model -> model.norm(GgufTensorType.F16), "adds and multiplies only F32"));
    }

    /** The text of the last is llama.cpp's name of the token before it. */
    private static List<String> emptyTokens() {
        List<String> tokens = new ArrayList<>(Collections.nCopies(1235, ""));
        tokens.add("[EMPTY_1234]");
        return tokens;
    }

    private static Arguments fault(String name, UnaryOperator<Model> change, String message) {
        return arguments(name, change, message);
    }

    private Path write(GgufWriter writer) throws IOException {
        Path path = folder.resolve("model.gguf");
        writer.write(path);
        return path;
    }

    /** A model of one layer, in which a test changes one thing. */
    private static final class Model {
        private long blocks = 1;
        private long heads = 4;
        private long keyValueHeads = 2;
        private long embedding = 32;
        private List<String> tokens = List.of("<unk>", "<s>", "</s>", "a");
        private String tokenizer = "llama";
        private GgufTensorType embeddings = GgufTensorType.F32;
        private GgufTensorType norm = GgufTensorType.F32;
        private UnaryOperator<GgufWriter> more = UnaryOperator.identity();

        Model blocks(long value) {
            blocks = value;
            return this;
        }

        Model heads(long queries, long keyValues) {
            heads = queries;
            keyValueHeads = keyValues;
            return this;
        }

        Model embedding(long value) {
            embedding = value;
            return this;
        }

        Model tokens(List<String> value) {
            tokens = value;
            return this;
        }

        Model tokenizer(String value) {
            tokenizer = value;
            return this;
        }

        Model embeddings(GgufTensorType value) {
            embeddings = value;
            return this;
        }

        Model norm(GgufTensorType value) {
            norm = value;
            return this;
        }

        Model with(UnaryOperator<GgufWriter> change) {
            more = change;
            return this;
        }

        GgufWriter writer() {
            GgufWriter writer = new GgufWriter()
                    .string("general.architecture", "llama")
                    .uint32("llama.block_count", blocks)
                    .uint32("llama.embedding_length", embedding)
                    .uint32("llama.context_length", 64)
                    .uint32("llama.attention.head_count", heads)
                    .uint32("llama.attention.head_count_kv", keyValueHeads)
                    .string("tokenizer.ggml.model", tokenizer)
                    .strings("tokenizer.ggml.tokens", tokens)
                    .tensor(
                            "token_embd.weight",
                            embeddings,
                            List.of(32L, 4L),
                            out -> out.write(new byte[128 * embeddings.blockBytes()]))
                    .tensor(
                            "output_norm.weight",
                            norm,
                            List.of(32L),
                            out -> out.write(new byte[32 * norm.blockBytes()]));
            return more.apply(writer);
        }
    }
}
