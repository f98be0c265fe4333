package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCompatibility;
import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.Sha256;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufWriter;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.OptionalInt;
import java.util.UUID;
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
    private static final String CONFIG = "adapter_config.json";
    private static final String WEIGHTS = "adapter_model.safetensors";
    private static final String WEIGHTS_IN_PARTS = WEIGHTS + ".index.json";
    private static final String PICKLED_WEIGHTS = "adapter_model.bin";
    /** The files that a training writes, supported or not. */
    private static final List<String> INPUTS = List.of(CONFIG, WEIGHTS, WEIGHTS_IN_PARTS, PICKLED_WEIGHTS);

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
        requireNoInput(folder, out, base);
        PeftConfig config = PeftConfig.read(folder.resolve(CONFIG));
        try (SafetensorsFile weights = SafetensorsFile.open(findWeights(folder))) {
            List<LoraModule> modules =
                    PeftCheck.check(folder.toString(), config, weights.tensors().values(), base);
            List<String> notes = config.notes(weights.tensors().keySet());
            GgufWriter writer = header(name(out), base, (float) config.commonAlpha());
            for (LoraModule module : modules) {
                addTensors(writer, module, weights, base, type);
            }
            return write(writer, out, base, notes);
        } catch (IOException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "The output '%s' cannot be written: %s; name a file in a folder that exists.".formatted(out, e),
                    e);
        }
    }

    /** Compares files rather than paths, because the output replaces an existing file. */
    private static void requireNoInput(Path folder, Path out, PeftBase base) {
        List<Path> inputs = Stream.concat(
                        Stream.of(base.path()), INPUTS.stream().map(folder::resolve))
                .toList();
        for (Path input : inputs) {
            if (isSameFile(out, input)) {
                throw new LlamafuException(
                        ErrorCode.INVALID_OPTION,
                        "The output '%s' is the input '%s', which would be lost; name another file."
                                .formatted(out, input));
            }
        }
    }

    private static boolean isSameFile(Path out, Path input) {
        try {
            return Files.isSameFile(out, input);
        } catch (IOException e) {
            // One of them does not exist.
            return out.toAbsolutePath()
                    .normalize()
                    .equals(input.toAbsolutePath().normalize());
        }
    }

    /** The error for unsupported formats of weights says what to do. */
    private static Path findWeights(Path folder) {
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

    /** Under a name that no catalog reads, until it is checked. */
    private static ConvertedAdapter write(GgufWriter writer, Path out, PeftBase base, List<String> notes)
            throws IOException {
        Path unchecked = out.toAbsolutePath().resolveSibling(".%s.unchecked".formatted(UUID.randomUUID()));
        try {
            writer.write(unchecked);
            GgufFile adapter = GgufReader.read(unchecked, GgufKind.ADAPTER);
            base.gguf().ifPresent(model -> AdapterCompatibility.check(model, adapter)
                    .requireCompatible(out.toString()));
            ConvertedAdapter converted = new ConvertedAdapter(
                    AdapterInfo.of(adapter), adapter.tensors().size(), adapter.fileSize(), Sha256.of(unchecked), notes);
            Files.move(unchecked, out, StandardCopyOption.ATOMIC_MOVE);
            return converted;
        } finally {
            Files.deleteIfExists(unchecked);
        }
    }
}
