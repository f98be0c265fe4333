package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterOutput;
import io.llamafu.adapter.CompatibilityReport;
import io.llamafu.adapter.CompatibilityReport.Reason;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.ModelFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static java.util.Objects.requireNonNull;

/**
 * Converts an adapter with llama.cpp's {@code convert_lora_to_gguf.py}, which knows more architectures than {@link
 * PeftConverter}. Needs Python with the packages that the script imports. The result is checked like one of ours, and
 * what the script would ignore is refused.
 */
public final class UpstreamConverter {
    private static final String SCRIPT = "convert_lora_to_gguf.py";
    private static final Duration MOST_TIME = Duration.ofMinutes(30);
    private static final List<String> MODULES = List.of("numpy", "safetensors", "torch", "transformers", "yaml");
    /** Prints the modules of its arguments that cannot be imported, without importing them. */
    private static final String FIND_MISSING =
            "import importlib.util, sys; print('missing:', *(m for m in sys.argv[1:] if importlib.util.find_spec(m) is None))";

    private static final Pattern MISSING = Pattern.compile("^missing:(.*)$", Pattern.MULTILINE);

    private final Path llamaCpp;
    private final String python;

    /**
     * A converter.
     *
     * @param llamaCpp folder of llama.cpp's source
     * @param python the command of Python 3
     */
    public UpstreamConverter(Path llamaCpp, String python) {
        this.llamaCpp = llamaCpp.toAbsolutePath();
        this.python = requireNonNull(python, "python is null");
    }

    /**
     * Converts an adapter. The output appears, or replaces an existing file, only when it is complete and checked.
     * Waits for Python for up to half an hour.
     *
     * @param folder with {@code adapter_config.json} and {@code adapter_model.safetensors}
     * @param out the file to write, in an existing folder; must not be one of the inputs
     * @param base the model that the adapter was trained on, as GGUF
     * @param baseConfig folder with Hugging Face's {@code config.json} of the same model
     * @throws LlamafuException like {@link PeftConverter#convert}; also with {@link ErrorCode#INVALID_OPTION} if Python,
     *     one of its packages, the script or the configuration is missing, and with {@link ErrorCode#ADAPTER_INVALID} if
     *     the script fails
     */
    public ConvertedAdapter convert(Path folder, Path out, Path base, Path baseConfig, WeightType type) {
        requireNonNull(type, "type is null");
        GgufFile model = ModelFile.read(base).gguf();
        PeftConverter.requireNoInput(folder, out, List.of(base, baseConfig.resolve("config.json")));
        PeftConverter.requireAdapter(folder);
        PeftConfig config = PeftConfig.read(folder.resolve(PeftConverter.CONFIG));
        requireSupported(folder, config);
        int tensors;
        List<String> notes;
        try (SafetensorsFile weights = SafetensorsFile.open(PeftConverter.findWeights(folder))) {
            tensors = weights.tensors().size();
            notes = new ArrayList<>(config.notes(weights.tensors().keySet()));
        }
        requireFile(llamaCpp.resolve(SCRIPT), "llama.cpp's converter");
        requireFile(baseConfig.resolve("config.json"), "the configuration of the base");
        requireModules();
        AdapterOutput.Published published =
                AdapterOutput.publish(out, Optional.of(model), file -> run(folder, file, baseConfig, type));
        if (published.tensors() < tensors) {
            notes.add("The folder has %d tensors, and the file %d; llama.cpp's converter joined or left out some."
                    .formatted(tensors, published.tensors()));
        }
        return ConvertedAdapter.of(published, notes);
    }

    /** The script reads alpha and nothing else that determines the scale. */
    private static void requireSupported(Path folder, PeftConfig config) {
        List<Reason> reasons = new ArrayList<>(config.reasons());
        if (config.rankStabilized()) {
            reasons.add(new Reason(
                    ErrorCode.ADAPTER_INVALID,
                    "use_rslora",
                    "false, as llama.cpp's converter ignores it; lora_alpha %s without it is the same if all ranks are equal"
                            .formatted((float) config.commonAlpha()),
                    "true"));
        }
        if (!config.alphaPattern().isEmpty()) {
            reasons.add(new Reason(
                    ErrorCode.ADAPTER_INVALID, "alpha_pattern", "empty, as llama.cpp's converter ignores it", "set"));
        }
        CompatibilityReport.of(reasons).requireCompatible(folder.toString());
    }

    private static void requireFile(Path file, String what) {
        if (!Files.isRegularFile(file)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "There is no file '%s', which is %s; name the folder that has it.".formatted(file, what));
        }
    }

    private void requireModules() {
        List<String> command = new ArrayList<>(List.of(python, "-c", FIND_MISSING));
        command.addAll(MODULES);
        PythonRun check = PythonRun.of(command, llamaCpp, Duration.ofMinutes(1));
        Matcher printed = MISSING.matcher(check.lastLines());
        if (check.status() != 0 || !printed.find()) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "'%s' is no usable Python 3: %s; name one that is.".formatted(python, check.lastLines()));
        }
        String missing = printed.group(1).strip();
        if (!missing.isEmpty()) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "llama.cpp's converter needs Python packages that '%s' lacks: %s; install them, as with '%s -m pip install %s'."
                            .formatted(python, missing, python, missing.replace("yaml", "pyyaml")));
        }
    }

    private void run(Path folder, Path file, Path baseConfig, WeightType type) throws IOException {
        PythonRun run = PythonRun.of(
                List.of(
                        python,
                        llamaCpp.resolve(SCRIPT).toString(),
                        "--base",
                        baseConfig.toAbsolutePath().toString(),
                        "--outtype",
                        type.name().toLowerCase(Locale.ROOT),
                        "--outfile",
                        file.toString(),
                        folder.toAbsolutePath().toString()),
                llamaCpp,
                MOST_TIME);
        if (run.status() != 0 || !Files.exists(file)) {
            throw new LlamafuException(
                    ErrorCode.ADAPTER_INVALID,
                    "llama.cpp's converter did not convert the adapter '%s': %s".formatted(folder, run.lastLines()));
        }
    }
}
