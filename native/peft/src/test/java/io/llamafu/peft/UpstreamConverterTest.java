package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;

/** With programs in place of Python and llama.cpp's script. */
class UpstreamConverterTest {
    private static final String Q_PROJ = "model.layers.0.self_attn.q_proj";
    private static final Path MEDICAL = TinyModel.adapters().resolve("medical.gguf");
    private static final String NOTHING_MISSING = "case $1 in -c) echo missing:; exit;; esac; ";

    @TempDir
    Path folder;

    private Path llamaCpp;
    private Path peft;
    private Path out;

    @BeforeEach
    void writeFolders() throws IOException {
        llamaCpp = Files.createDirectory(folder.resolve("llama.cpp"));
        Files.writeString(llamaCpp.resolve("convert_lora_to_gguf.py"), "");
        peft = new PeftFolder()
                .with("target_modules", List.of("q_proj"))
                .module(Q_PROJ, 128, 128)
                .write(folder.resolve("peft"));
        out = Files.createDirectory(folder.resolve("out")).resolve("adapter.gguf");
    }

    private String program(String script) throws IOException {
        Path program = folder.resolve("python");
        Files.writeString(program, "#!/bin/sh\n" + script + "\n");
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwx------"));
        return program.toString();
    }

    private ConvertedAdapter convert(String python) {
        return new UpstreamConverter(llamaCpp, python)
                .convert(peft, out, TinyModel.model(), TinyModel.folder().resolve("base-hf"), WeightType.F16);
    }

    private void assertRefused(String python, ErrorCode code, String... message) {
        assertFails(() -> convert(python), code, message);
        assertThat(out.getParent()).isEmptyDirectory();
    }

    /** The arguments are -, --base, CONFIG_DIR, --outtype, f16, --outfile, FILE, ADAPTER_DIR. */
    @Test
    void theFileOfTheScriptIsCheckedAndPublished() throws IOException {
        String python = program(
                NOTHING_MISSING + "echo \"$@\" >" + folder.resolve("arguments") + "; cp " + MEDICAL + " \"$7\"");

        ConvertedAdapter converted = convert(python);

        assertThat(out).hasSameBinaryContentAs(MEDICAL);
        assertThat(converted.tensors()).isEqualTo(56);
        assertThat(converted.notes()).isEmpty();
        assertThat(Files.readString(folder.resolve("arguments")))
                .startsWith(llamaCpp.resolve("convert_lora_to_gguf.py") + " --base ")
                .contains("base-hf --outtype f16 --outfile ")
                .endsWith(peft + "\n");
        assertThat(out.getParent()).isDirectoryNotContaining("glob:**/.*");
    }

    @Test
    void tensorsThatTheScriptLeavesOutAreNoted() throws IOException {
        PeftFolder large = new PeftFolder();
        for (int layer = 0; layer < 30; layer++) {
            large.module("model.vision.layers.%d.q_proj".formatted(layer), 128, 128);
        }
        peft = large.write(folder.resolve("large"));

        assertThat(convert(program(NOTHING_MISSING + "cp " + MEDICAL + " \"$7\""))
                        .notes())
                .contains("The folder has 60 tensors, and the file 56; llama.cpp's converter joined or left out some.");
    }

    @Test
    void aFileThatDoesNotFitTheBaseIsRefused() throws IOException {
        assertRefused(
                program(NOTHING_MISSING + "cp " + TinyModel.model() + " \"$7\""),
                ErrorCode.ADAPTER_INVALID,
                "no valid LoRA adapter");
        assertRefused(program(NOTHING_MISSING + "echo no gguf >\"$7\""), ErrorCode.ADAPTER_INVALID);
    }

    @Test
    void aFailureOfTheScriptIsReportedWithItsLastLines() throws IOException {
        assertRefused(
                program(NOTHING_MISSING + "seq 100000; echo Model Other is not supported >&2; exit 1"),
                ErrorCode.ADAPTER_INVALID,
                "llama.cpp's converter did not convert the adapter",
                "Model Other is not supported");
        assertRefused(program(NOTHING_MISSING + "exit 0"), ErrorCode.ADAPTER_INVALID, "did not convert");
    }

    @Test
    void missingPackagesAreNamed() throws IOException {
        assertRefused(
                program("echo a warning >&2; echo missing: torch yaml"),
                ErrorCode.INVALID_OPTION,
                "lacks: torch yaml;",
                "-m pip install torch pyyaml");
    }

    @Test
    void aMissingPythonIsNamed() throws IOException {
        assertRefused(
                folder.resolve("no-python").toString(), ErrorCode.INVALID_OPTION, "no-python", "install Python 3");
        assertRefused(program("echo no Python; exit 3"), ErrorCode.INVALID_OPTION, "is no usable Python 3: no Python");
    }

    /** Its only input is the script: nothing waits for an answer. */
    @Test
    void aQuestionOfTheScriptGetsNoAnswer() throws IOException {
        assertRefused(
                program(NOTHING_MISSING + "read answer || { echo no answer; exit 1; }"),
                ErrorCode.ADAPTER_INVALID,
                "no answer");
    }

    @Test
    void aMissingScriptOrConfigurationIsNamed() throws IOException {
        String python = program(NOTHING_MISSING);
        assertFails(
                () -> new UpstreamConverter(llamaCpp, python)
                        .convert(peft, out, TinyModel.model(), folder, WeightType.F16),
                ErrorCode.INVALID_OPTION,
                "which is the configuration of the base");
        Files.delete(llamaCpp.resolve("convert_lora_to_gguf.py"));
        assertRefused(python, ErrorCode.INVALID_OPTION, "which is llama.cpp's converter");
    }

    @Test
    void whatTheScriptIgnoresIsRefused() throws IOException {
        String python = program(NOTHING_MISSING);
        peft = new PeftFolder()
                .with("use_rslora", true)
                .with("r", 4)
                .with("alpha_pattern", Map.of("q_proj", 2))
                .with("use_dora", true)
                .module(Q_PROJ, 128, 128, 4)
                .write(folder.resolve("peft"));

        assertRefused(
                python,
                ErrorCode.ADAPTER_INVALID,
                "use_dora: expected unset",
                "use_rslora: expected false",
                "lora_alpha 16.0 without it is the same",
                "alpha_pattern: expected empty");
    }

    @Test
    void noInputIsReplaced() throws IOException {
        String python = program(NOTHING_MISSING);
        assertFails(
                () -> new UpstreamConverter(llamaCpp, python)
                        .convert(
                                peft,
                                peft.resolve("adapter_model.safetensors"),
                                TinyModel.model(),
                                TinyModel.folder().resolve("base-hf"),
                                WeightType.F16),
                ErrorCode.INVALID_OPTION,
                "is the input");
    }
}
