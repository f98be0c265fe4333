package io.llamafu.gguf;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * A GGUF model that is safe for llama.cpp v0.5.0, which ends the process on some malformed models ({@code GGML_ASSERT}
 * in {@code llama-model.cpp}, {@code llama-vocab.cpp} and in its operators).
 *
 * @param gguf header of the file
 * @param architecture {@code general.architecture}, such as {@code llama}
 * @param blockCount layers
 * @param embeddingLength width of the residual stream
 * @param contextLength tokens the model was trained for
 * @param headCount attention heads, the maximum over all layers; 0 if no layer has attention
 * @param keyValueHeadCount key-value heads, the maximum over all layers
 * @param vocabularySize tokens
 * @param memory what the model keeps of earlier tokens
 */
public record ModelFile(
        GgufFile gguf,
        String architecture,
        int blockCount,
        int embeddingLength,
        int contextLength,
        int headCount,
        int keyValueHeadCount,
        int vocabularySize,
        ModelMemory memory) {

    public ModelFile {
        requireNonNull(gguf, "gguf is null");
        requireNonNull(memory, "memory is null");
        requireNonNull(architecture, "architecture is null");
    }

    /**
     * Reads and checks a model, without its weights.
     *
     * @throws LlamafuException with {@link ErrorCode#MODEL_NOT_FOUND} if the path is not a regular file that can be
     *     opened, and with {@link ErrorCode#MODEL_INVALID} if llama.cpp cannot use the model
     */
    public static ModelFile read(Path path) {
        return check(GgufReader.read(path, GgufKind.MODEL));
    }

    /** Like {@link #read}, for a header that was read before. */
    public static ModelFile check(GgufFile gguf) {
        checkType(gguf);
        ModelParameters parameters = ModelParameters.read(gguf);
        ModelTensors.check(gguf);
        int vocabularySize = ModelVocabulary.check(gguf);
        return new ModelFile(
                gguf,
                parameters.architecture(),
                parameters.blockCount(),
                parameters.embeddingLength(),
                parameters.contextLength(),
                parameters.headCount(),
                parameters.keyValueHeadCount(),
                vocabularySize,
                parameters.memory());
    }

    /** Bytes of the vocabulary's longest token, which is read from the file again. */
    public int longestToken() {
        return ModelVocabulary.longestToken(gguf);
    }

    /** The ids of the vocabulary's control tokens by their text, which is read from the file again. */
    public Map<String, Integer> controlTokens() {
        return ModelVocabulary.controlTokens(gguf);
    }

    /** The token that begins a sequence, as the file says or as llama.cpp supposes; -1 if there is none. */
    public int beginOfSequence() {
        return ModelVocabulary.special(gguf, "bos");
    }

    /** The token that ends a sequence, like {@link #beginOfSequence}. */
    public int endOfSequence() {
        return ModelVocabulary.special(gguf, "eos");
    }

    /** The chat template, in Jinja; empty if there is none or it is longer than 1 MiB. */
    public Optional<String> chatTemplate() {
        return gguf.metadata().get("tokenizer.chat_template") instanceof GgufValue.Text template
                ? Optional.of(template.value())
                : Optional.empty();
    }

    /**
     * Texts of the special tokens by the names that chat templates have for them, such as {@code bos_token}. They are read
     * from the file again.
     */
    public Map<String, String> specialTokens() {
        return ModelVocabulary.specialTokens(gguf);
    }

    private static void checkType(GgufFile gguf) {
        Optional<String> type = gguf.findString("general.type");
        if (type.isPresent() && !type.get().equals("model")) {
            throw gguf.invalid("has general.type '%s', but a model is needed; %s."
                    .formatted(
                            type.get(),
                            type.get().equals("adapter")
                                    ? "put adapters into the adapter folder"
                                    : "name the file with the language model"));
        }
        long splits = gguf.findInteger("split.count").orElse(0L);
        if (splits > 1 || splits < 0) {
            throw gguf.invalid("is one of %d parts; merge them with 'llama-gguf-split --merge'.".formatted(splits));
        }
    }
}
