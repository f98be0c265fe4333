package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterOutput;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufWriter;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Stream;

import static java.util.Objects.requireNonNull;

/**
 * Converts a LoRA adapter from a folder saved by Hugging Face PEFT to a GGUF file.
 *
 * <pre>{@code
 * PeftBase base = PeftBase.read(Path.of("models/base.gguf"));
 * PeftConverter.convert(Path.of("medical-lora"), Path.of("models/adapters/medical.gguf"), base, WeightType.F16);
 * }</pre>
 *
 * <p>Features that GGUF cannot express are rejected, never dropped: see {@code docs/peft.md}.
 */
public final class PeftConverter {
    static final String CONFIG = "adapter_config.json";
    private static final String WEIGHTS = "adapter_model.safetensors";
    private static final String WEIGHTS_IN_PARTS = WEIGHTS + ".index.json";
    private static final String PICKLED_WEIGHTS = "adapter_model.bin";
    /** The files that a training writes, supported or not. */
    private static final List<String> INPUTS = List.of(CONFIG, WEIGHTS, WEIGHTS_IN_PARTS, PICKLED_WEIGHTS);

    /** Weights of a model, in one or several parts. */
    private static final List<String> WHOLE_MODEL = List.of(
            "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json");

    private static final String GGUF_SUFFIX = ".gguf";

    private PeftConverter() {}

    /**
     * Converts an adapter. The output appears, or replaces an existing file, only when it is complete and checked.
     *
     * @param folder with {@code adapter_config.json} and {@code adapter_model.safetensors}
     * @param out the file to write, in an existing folder; must not be one of the inputs
     * @param base the model that the adapter was trained on
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} if a file is missing, with {@link
     *     ErrorCode#ADAPTER_INVALID} if one is malformed or the adapter is more than a plain LoRA, with {@link
     *     ErrorCode#ADAPTER_INCOMPATIBLE} if it does not fit the base, and with {@link ErrorCode#INVALID_OPTION} if the
     *     output is an input or cannot be written, or a weight is too large for the type
     */
    public static ConvertedAdapter convert(Path folder, Path out, PeftBase base, WeightType type) {
        requireNonNull(folder, "folder is null");
        requireNonNull(out, "out is null");
        requireNonNull(base, "base is null");
        requireNonNull(type, "type is null");
        requireNoInput(folder, out, List.of(base.path()));
        requireAdapter(folder);
        PeftConfig config = PeftConfig.read(folder.resolve(CONFIG));
        try (SafetensorsFile weights = SafetensorsFile.open(findWeights(folder))) {
            List<LoraModule> modules =
                    PeftCheck.check(folder.toString(), config, weights.tensors().values(), base);
            List<String> notes = config.notes(weights.tensors().keySet());
            GgufWriter writer = header(name(out), base, (float) config.commonAlpha());
            // the keys by which llama.cpp's converter names it
            config.base().ifPresent(name -> writer.uint32("general.base_model.count", 1)
                    .string("general.base_model.0.name", name));
            if (!config.invocationTokens().isEmpty()) {
                writer.uint32s(
                        "adapter.alora.invocation_tokens",
                        config.invocationTokens().stream()
                                .mapToInt(Integer::intValue)
                                .toArray());
            }
            for (LoraModule module : modules) {
                addTensors(writer, module, weights, base, type);
            }
            return ConvertedAdapter.of(AdapterOutput.publish(out, base.gguf(), writer::write), notes);
        }
    }

    /** Of the folder, and others. */
    static void requireNoInput(Path folder, Path out, List<Path> others) {
        AdapterOutput.requireNoInput(
                out,
                Stream.concat(others.stream(), INPUTS.stream().map(folder::resolve))
                        .toList());
    }

    /** A folder with a whole model often results from a training too, such as from Unsloth's save_pretrained_merged. */
    static void requireAdapter(Path folder) {
        boolean isModel = WHOLE_MODEL.stream().map(folder::resolve).anyMatch(Files::exists);
        if (!Files.exists(folder.resolve(CONFIG)) && isModel) {
            throw GgufKind.ADAPTER.invalid(
                    folder,
                    "is a whole model, into which an adapter was merged; save the adapter alone, as with save_pretrained.");
        }
    }

    /** The error for unsupported formats of weights says what to do. */
    static Path findWeights(Path folder) {
        Path weights = folder.resolve(WEIGHTS);
        if (!Files.exists(weights) && Files.exists(folder.resolve(WEIGHTS_IN_PARTS))) {
            throw GgufKind.ADAPTER.invalid(
                    folder, "has its weights in several parts; save it again with a larger max_shard_size.");
        }
        if (!Files.exists(weights) && Files.exists(folder.resolve(PICKLED_WEIGHTS))) {
            throw GgufKind.ADAPTER.invalid(
                    folder, "has its weights as a pickle of PyTorch; save it again with safe_serialization=True.");
        }
        return weights;
    }

    private static String name(Path out) {
        String file = String.valueOf(out.getFileName());
        return file.endsWith(GGUF_SUFFIX) ? file.substring(0, file.length() - GGUF_SUFFIX.length()) : file;
    }

    private static GgufWriter header(String name, PeftBase base, float alpha) {
        return new GgufWriter()
                .string("general.architecture", base.architecture().ggufName())
                .string("general.type", "adapter")
                .string("general.name", name)
                .string("adapter.type", "lora")
                .float32("adapter.lora.alpha", alpha);
    }

    private static void addTensors(
            GgufWriter writer, LoraModule module, SafetensorsFile weights, PeftBase base, WeightType type) {
        SafetensorsTensor a = module.a();
        SafetensorsTensor b = module.b();
        OptionalInt rowsOfHead = module.target().rotary() ? OptionalInt.of(base.headWidth()) : OptionalInt.empty();
        writer.tensor(
                module.target().name() + ".lora_a",
                type.tensorType(),
                List.of(a.columns(), a.rows()),
                new ConvertedWeights(weights, a, type, 1, OptionalInt.empty()));
        writer.tensor(
                module.target().name() + ".lora_b",
                type.tensorType(),
                List.of(b.columns(), b.rows()),
                new ConvertedWeights(weights, b, type, module.factorOfB(), rowsOfHead));
    }
}
