package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.ModelFile;

import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Function;

/**
 * The properties of an adapter's base model that a conversion needs: its architecture, the shapes of its matrices and
 * the width of an attention head.
 */
public final class PeftBase {
    private final Path path;
    private final PeftArchitecture architecture;
    private final int headWidth;
    private final Function<ModuleTarget, Optional<MatrixShape>> shapes;
    private final Optional<GgufFile> gguf;

    private PeftBase(
            Path path,
            PeftArchitecture architecture,
            int headWidth,
            Function<ModuleTarget, Optional<MatrixShape>> shapes,
            Optional<GgufFile> gguf) {
        this.path = path;
        this.architecture = architecture;
        this.headWidth = headWidth;
        this.shapes = shapes;
        this.gguf = gguf;
    }

    /**
     * Reads a base.
     *
     * @param path a GGUF model, or the {@code config.json} of a Hugging Face model, recognized by the extension {@code
     *     .json}
     * @throws LlamafuException with {@link ErrorCode#MODEL_NOT_FOUND} if there is no such file, with {@link
     *     ErrorCode#MODEL_INVALID} if it is malformed, and with {@link ErrorCode#INVALID_OPTION} if its architecture is
     *     not supported
     */
    public static PeftBase read(Path path) {
        return path.toString().endsWith(".json")
                ? ofConfig(path, HuggingFaceConfig.read(path))
                : ofModel(path, ModelFile.read(path));
    }

    private static PeftBase ofConfig(Path path, HuggingFaceConfig config) {
        return new PeftBase(path, config.architecture(), config.headWidth(), config::shape, Optional.empty());
    }

    private static PeftBase ofModel(Path path, ModelFile model) {
        PeftArchitecture architecture = PeftArchitecture.ofGgufName(model.architecture())
                .orElseThrow(() -> new LlamafuException(
                        ErrorCode.INVALID_OPTION,
                        "The model '%s' has the architecture '%s', but adapters are converted for %s only; for others use llama.cpp's converter, as with 'convert-peft --upstream'."
                                .formatted(model.gguf().path(), model.architecture(), PeftArchitecture.names())));
        return new PeftBase(
                path, architecture, headWidth(model), target -> shape(model.gguf(), target), Optional.of(model.gguf()));
    }

    private static int headWidth(ModelFile model) {
        if (model.headCount() == 0) {
            return 0;
        }
        return model.gguf()
                .findInteger(model.architecture() + ".attention.key_length")
                .map(Long::intValue)
                .orElse(model.embeddingLength() / model.headCount());
    }

    private static Optional<MatrixShape> shape(GgufFile gguf, ModuleTarget target) {
        return gguf.findTensor(target.name()).map(tensor -> new MatrixShape(tensor.dimension(0), tensor.dimension(1)));
    }

    Path path() {
        return path;
    }

    PeftArchitecture architecture() {
        return architecture;
    }

    /** Rows of a single head in the query and key matrices; 0 if there is none. */
    int headWidth() {
        return headWidth;
    }

    /** The shape of a matrix; empty if the model lacks it. */
    Optional<MatrixShape> shape(ModuleTarget target) {
        return shapes.apply(target);
    }

    /** The header of the model, unless only its configuration is known. */
    Optional<GgufFile> gguf() {
        return gguf;
    }
}
