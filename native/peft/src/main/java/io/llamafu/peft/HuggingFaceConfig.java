package io.llamafu.peft;

import com.fasterxml.jackson.databind.JsonNode;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufKind;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * The description of a model's layers in its {@code config.json}.
 *
 * @param architecture from {@code model_type}
 * @param layers number of layers
 * @param width width of the residual stream
 * @param feedForwardWidth width of the hidden layer between gate, up and down
 * @param heads query heads
 * @param keyValueHeads key-value heads
 * @param headWidth width of a head
 */
record HuggingFaceConfig(
        PeftArchitecture architecture,
        int layers,
        int width,
        int feedForwardWidth,
        int heads,
        int keyValueHeads,
        int headWidth) {

    /**
     * Reads a configuration.
     *
     * @throws LlamafuException with {@link ErrorCode#MODEL_NOT_FOUND} if there is no such file, with
     *     {@link ErrorCode#MODEL_INVALID} if it is malformed, and with {@link ErrorCode#INVALID_OPTION} if its architecture
     *     cannot be converted
     */
    static HuggingFaceConfig read(Path path) {
        return new Reader(path, Json.readObject(GgufKind.MODEL, path)).read();
    }

    /** The shape of a matrix; empty if the model lacks it. */
    Optional<MatrixShape> shape(ModuleTarget target) {
        if (target.layer() >= layers) {
            return Optional.empty();
        }
        long queries = (long) heads * headWidth;
        long keys = (long) keyValueHeads * headWidth;
        return switch (target.tensor()) {
            case "attn_q" -> Optional.of(new MatrixShape(width, queries));
            case "attn_k", "attn_v" -> Optional.of(new MatrixShape(width, keys));
            case "attn_qkv" -> Optional.of(new MatrixShape(width, queries + 2 * keys));
            case "attn_output" -> Optional.of(new MatrixShape(queries, width));
            case "ffn_gate" -> Optional.of(new MatrixShape(width, feedForwardWidth));
            case "ffn_up" -> Optional.of(new MatrixShape(width, feedForwardWidth * (isFused() ? 2L : 1L)));
            case "ffn_down" -> Optional.of(new MatrixShape(feedForwardWidth, width));
            default -> Optional.empty();
        };
    }

    private boolean isFused() {
        return architecture == PeftArchitecture.PHI3;
    }

    private static final class Reader {
        private static final int MAX_LAYERS = 512;
        private static final int MAX_WIDTH = 1 << 24;

        private final Path path;
        private final JsonNode text;
        private final PeftArchitecture architecture;

        Reader(Path path, JsonNode root) {
            this.path = path;
            this.architecture = architecture(root);
            // Multimodal models describe their text model in a nested object.
            this.text = root.path("text_config").isObject() ? root.get("text_config") : root;
        }

        HuggingFaceConfig read() {
            int width = integer("hidden_size", MAX_WIDTH, OptionalInt.empty());
            int heads = integer("num_attention_heads", MAX_WIDTH, isGemma3() ? OptionalInt.of(8) : OptionalInt.empty());
            return new HuggingFaceConfig(
                    architecture,
                    integer("num_hidden_layers", MAX_LAYERS, OptionalInt.empty()),
                    width,
                    integer("intermediate_size", MAX_WIDTH, OptionalInt.empty()),
                    heads,
                    integer("num_key_value_heads", MAX_WIDTH, OptionalInt.of(isGemma3() ? 4 : heads)),
                    integer("head_dim", MAX_WIDTH, OptionalInt.of(defaultHeadWidth(width, heads))));
        }

        /** Its configurations omit the defaults of Transformers. */
        private boolean isGemma3() {
            return architecture == PeftArchitecture.GEMMA3;
        }

        private int defaultHeadWidth(int width, int heads) {
            return switch (architecture) {
                case GEMMA, GEMMA2, GEMMA3 -> 256;
                case QWEN3 -> 128;
                case LLAMA, QWEN2, QWEN3MOE, PHI3, GRANITE, SMOLLM3 -> width / heads;
            };
        }

        private PeftArchitecture architecture(JsonNode root) {
            String type = root.path("model_type").asText();
            return PeftArchitecture.ofModelType(type)
                    .orElseThrow(() -> new LlamafuException(
                            ErrorCode.INVALID_OPTION,
                            "The model '%s' has the model_type '%s', but adapters are converted for %s only; for others use llama.cpp's converter, as with 'convert-peft --upstream'."
                                    .formatted(
                                            path,
                                            type.substring(0, Math.min(64, type.length())),
                                            PeftArchitecture.names())));
        }

        private int integer(String key, int most, OptionalInt fallback) {
            JsonNode value = text.path(key);
            if (value.isMissingNode() || value.isNull()) {
                return fallback.orElseThrow(() -> GgufKind.MODEL.invalid(
                        path, "has no '%s'; name the config.json of the language model.".formatted(key)));
            }
            if (!value.isIntegralNumber()
                    || !value.canConvertToInt()
                    || value.intValue() < 1
                    || value.intValue() > most) {
                throw GgufKind.MODEL.invalid(
                        path, "has '%s' as %s, but it must be 1 to %d.".formatted(key, Json.brief(value), most));
            }
            return value.intValue();
        }
    }
}
