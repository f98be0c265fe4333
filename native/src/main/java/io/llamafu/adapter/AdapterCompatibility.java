package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufValue;
import io.llamafu.gguf.GgufValueType;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static java.util.Objects.requireNonNull;

/**
 * Checks an adapter against a base model before llama.cpp gets it. The rules are those of {@code llama-adapter.cpp} in
 * llama.cpp v0.5.0, plus what it fails to check: it ends the process on tensor types that it cannot multiply, and
 * silently ignores norms and tensors that no operation uses.
 */
public final class AdapterCompatibility {
    private static final Set<GgufTensorType> SUPPORTED =
            EnumSet.of(GgufTensorType.F32, GgufTensorType.F16, GgufTensorType.BF16, GgufTensorType.Q8_0);
    private static final String VOCABULARY = "tokenizer.ggml.tokens";
    private static final String ARCHITECTURE = "general.architecture";
    private static final Pattern LAYER = Pattern.compile("blk\\.(\\d{1,9})\\.");
    /** Names of the copies that Unsloth trains on. */
    private static final String QUANTIZED_FOR_TRAINING = "(-unsloth)?-bnb-4bit$";

    /** The most characters of a text from a file in a message. */
    private static final int MOST_CHARACTERS = 64;

    private final GgufFile base;
    private final GgufFile adapter;
    private final Function<String, Optional<String>> refusals;
    private final List<CompatibilityReport.Reason> reasons = new ArrayList<>();

    private AdapterCompatibility(GgufFile base, GgufFile adapter, Function<String, Optional<String>> refusals) {
        this.base = requireNonNull(base, "base is null");
        this.adapter = requireNonNull(adapter, "adapter is null");
        this.refusals = requireNonNull(refusals, "refusals is null");
    }

    /** Checks everything and reports all reasons at once. */
    public static CompatibilityReport check(GgufFile base, GgufFile adapter) {
        return check(base, adapter, target -> Optional.empty());
    }

    /**
     * Also checks what an engine can apply.
     *
     * @param refusals why the engine that has loaded the base cannot adapt a tensor of it; empty if it can
     */
    public static CompatibilityReport check(
            GgufFile base, GgufFile adapter, Function<String, Optional<String>> refusals) {
        return new AdapterCompatibility(base, adapter, refusals).check();
    }

    /**
     * Checks a file with its weights, of which it reports the first that is invalid.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} or {@link ErrorCode#ADAPTER_INVALID} if there is no
     *     such file, or it is no GGUF file
     */
    public static CompatibilityReport checkFile(GgufFile base, Path file, Function<String, Optional<String>> refusals) {
        GgufFile adapter = GgufReader.read(file, GgufKind.ADAPTER);
        CompatibilityReport report = check(base, adapter, refusals);
        WeightScan weights = WeightScan.of(file);
        try {
            Sha256.read(file, weights::take, () -> {});
        } catch (IOException e) {
            throw GgufKind.ADAPTER.invalid(file, "cannot be read: %s.".formatted(e.getMessage()));
        }
        return weights.found()
                .map(tensor -> report.and(new CompatibilityReport.Reason(
                        ErrorCode.ADAPTER_INVALID,
                        tensor,
                        "finite weights from -%d to %d".formatted(WeightScan.MOST, WeightScan.MOST),
                        "a tensor with others")))
                .orElse(report);
    }

    private CompatibilityReport check() {
        checkMetadata();
        adapter.tensors().values().forEach(this::checkTensor);
        Map<String, LoraPair> pairs = LoraPair.of(adapter);
        if (pairs.isEmpty()) {
            invalid("tensors", "pairs of '<base tensor>.lora_a' and '.lora_b'", "none");
        }
        checkLayers(pairs.keySet());
        pairs.values().forEach(this::checkPair);
        Optional<String> trainedOn = text(adapter, "general.base_model.0.name");
        return new CompatibilityReport(
                reasons,
                trainedOn,
                text(base, "general.name"),
                trainedOn.filter(name -> !isName(name)).isPresent());
    }

    /** Whether it may be a name of the base, whose parts are written with or without blanks, hyphens and a quantization. */
    private boolean isName(String name) {
        String trainedOn = name.replaceFirst(QUANTIZED_FOR_TRAINING, "");
        String parts = Stream.of("general.basename", "general.size_label", "general.finetune")
                .flatMap(key -> text(base, key).stream())
                .collect(Collectors.joining());
        return Stream.of(
                        text(base, "general.name").orElse(""),
                        parts,
                        text(base, "general.base_model.0.name").orElse(""),
                        String.valueOf(base.path().getFileName()))
                .anyMatch(known -> letters(known).contains(letters(trainedOn)));
    }

    private static String letters(String name) {
        return name.toLowerCase(Locale.ROOT).replaceAll("[^\\p{L}\\p{N}.]", "");
    }

    private static Optional<String> text(GgufFile file, String key) {
        return file.metadata().get(key) instanceof GgufValue.Text text
                ? Optional.of(shortened(text.value()))
                : Optional.empty();
    }

    private static String shortened(String text) {
        return text.substring(0, Math.min(MOST_CHARACTERS, text.length()));
    }

    /** One reason, before those of the many tensors that are missing as a result. */
    private void checkLayers(Set<String> targets) {
        OptionalLong last = targets.stream()
                .map(LAYER::matcher)
                .filter(Matcher::lookingAt)
                .mapToLong(layer -> Long.parseLong(layer.group(1)))
                .max();
        String key = base.string(ARCHITECTURE) + ".block_count";
        base.findInteger(key)
                .filter(layers -> last.isPresent() && last.getAsLong() >= layers)
                .ifPresent(layers -> incompatible(
                        "layers",
                        "%d, blk.0 to blk.%d".formatted(layers, layers - 1),
                        "an adapter of blk." + last.getAsLong()));
    }

    private void checkMetadata() {
        expectText("general.type", "adapter");
        expectText("adapter.type", "lora");
        GgufValue architecture = adapter.metadata().get(ARCHITECTURE);
        String baseArchitecture = base.string(ARCHITECTURE);
        if (!(architecture instanceof GgufValue.Text text)) {
            invalid(ARCHITECTURE, "'" + baseArchitecture + "'", describe(architecture));
        } else if (!text.value().equals(baseArchitecture)) {
            incompatible(ARCHITECTURE, "'" + baseArchitecture + "'", describe(architecture));
        }
        checkAlpha();
        long vocabulary = base.metadata().get(VOCABULARY) instanceof GgufValue.Array tokens ? tokens.count() : 0;
        InvocationTokens.problem(adapter, vocabulary)
                .ifPresent(problem -> invalid(InvocationTokens.KEY, InvocationTokens.expected(vocabulary), problem));
    }

    private void expectText(String key, String expected) {
        GgufValue value = adapter.metadata().get(key);
        if (!(value instanceof GgufValue.Text text) || !text.value().equals(expected)) {
            invalid(key, "'" + expected + "'", describe(value));
        }
    }

    /** llama.cpp asserts a FLOAT32. If alpha is absent or 0, it does not divide by the rank. */
    private void checkAlpha() {
        GgufValue alpha = adapter.metadata().get(AdapterInfo.ALPHA);
        boolean valid = alpha == null
                || (alpha instanceof GgufValue.FloatNumber number
                        && number.type() == GgufValueType.FLOAT32
                        && Math.abs(number.value()) <= WeightScan.MOST);
        if (!valid) {
            invalid(
                    AdapterInfo.ALPHA,
                    "a FLOAT32 from -%d to %d".formatted(WeightScan.MOST, WeightScan.MOST),
                    describe(alpha));
        }
    }

    private void checkTensor(GgufTensor tensor) {
        if (!LoraPair.isPart(tensor)) {
            invalid(
                    tensor.name(),
                    "a name that ends with .lora_a or .lora_b",
                    "a tensor that llama.cpp would not apply");
        } else if (!SUPPORTED.contains(tensor.type())) {
            invalid(
                    tensor.name(),
                    "one of the types " + SUPPORTED,
                    tensor.type().toString());
        }
    }

    private void checkPair(LoraPair pair) {
        if (pair.a().isEmpty()) {
            invalid(pair.nameOfA(), "present, as its .lora_b is", "missing");
        }
        if (pair.b().isEmpty()) {
            invalid(pair.nameOfB(), "present, as its .lora_a is", "missing");
        }
        Optional<GgufTensor> target = base.findTensor(pair.target());
        if (target.isEmpty()) {
            incompatible(pair.target(), "a tensor of the base model", "missing from it");
        } else if (target.get().dimensions().size() < 2) {
            incompatible(
                    pair.target(),
                    "a matrix of the base model",
                    "a vector " + target.get().shape());
        } else {
            refusals.apply(pair.target())
                    .ifPresent(why -> incompatible(pair.target(), "a tensor that an adapter can change", why));
        }
        if (pair.isEmbedding() && base.findTensor("output.weight").isEmpty()) {
            incompatible(
                    pair.target(),
                    "unchanged, as the base model uses its embeddings as output weights too",
                    "changed by the adapter");
        }
        if (pair.a().isPresent() && pair.b().isPresent()) {
            checkShapes(pair, pair.a().get(), pair.b().get(), target);
        }
    }

    private void checkShapes(LoraPair pair, GgufTensor a, GgufTensor b, Optional<GgufTensor> target) {
        int rankOfA = pair.isEmbedding() ? 0 : 1;
        if (a.dimension(rankOfA) != b.dimension(0)) {
            invalid(b.name(), "rank %d, as its .lora_a has".formatted(a.dimension(rankOfA)), "rank " + b.dimension(0));
        }
        if (target.isEmpty()) {
            return;
        }
        GgufTensor weight = target.get();
        if (pair.isEmbedding()) {
            checkLength(a, 1, weight.dimension(1), weight);
            checkLength(b, 1, weight.dimension(0), weight);
        } else {
            checkLength(a, 0, weight.dimension(0), weight);
            checkLength(b, 1, weight.dimension(1), weight);
        }
        // Experts of a mixture have separate matrices.
        for (int index = 2; index < GgufTensor.MAX_DIMENSIONS; index++) {
            checkLength(a, index, weight.dimension(index), weight);
            checkLength(b, index, weight.dimension(index), weight);
        }
    }

    private void checkLength(GgufTensor tensor, int index, long expected, GgufTensor weight) {
        if (tensor.dimension(index) != expected) {
            incompatible(
                    tensor.name(),
                    "%d in dimension %d for the base tensor %s".formatted(expected, index, weight.shape()),
                    "%d of %s".formatted(tensor.dimension(index), tensor.shape()));
        }
    }

    private static String describe(GgufValue value) {
        if (value == null) {
            return "missing";
        }
        if (value instanceof GgufValue.Text text) {
            return "'" + shortened(text.value()) + "'";
        }
        if (value instanceof GgufValue.FloatNumber number) {
            return number.type() + " " + number.value();
        }
        return "of type " + value.type();
    }

    private void invalid(String subject, String expected, String actual) {
        reasons.add(new CompatibilityReport.Reason(ErrorCode.ADAPTER_INVALID, subject, expected, actual));
    }

    private void incompatible(String subject, String expected, String actual) {
        reasons.add(new CompatibilityReport.Reason(ErrorCode.ADAPTER_INCOMPATIBLE, subject, expected, actual));
    }
}
