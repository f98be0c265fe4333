package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * A run of Python that has ended.
 *
 * @param status 0 for success
 * @param lastLines the end of what it wrote to its outputs, for messages
 */
record PythonRun(int status, String lastLines) {
    private static final int MOST_BYTES = 1000;

    /** No network, no accelerator, and no files beside the sources. */
    private static final Map<String, String> ENVIRONMENT = Map.of(
            "HF_HUB_OFFLINE", "1",
            "TRANSFORMERS_OFFLINE", "1",
            "CUDA_VISIBLE_DEVICES", "",
            "PYTHONDONTWRITEBYTECODE", "1",
            "PYTHONIOENCODING", "utf-8");

    /**
     * Runs a command to its end, without input.
     *
     * @param folder the working folder
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if it cannot be started, and with {@link
     *     ErrorCode#DEADLINE_EXCEEDED} if it does not end in time, or the thread is interrupted
     */
    static PythonRun of(List<String> command, Path folder, Duration mostTime) {
        try {
            Path output = Files.createTempFile("llamafu-python", ".log");
            try {
                return new PythonRun(status(command, folder, mostTime, output), end(output));
            } finally {
                Files.deleteIfExists(output);
            }
        } catch (IOException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "Python cannot be run: %s; install Python 3, or name the command that starts it."
                            .formatted(e.getMessage()),
                    e);
        }
    }

    private static int status(List<String> command, Path folder, Duration mostTime, Path output) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(output.toFile());
        builder.environment().putAll(ENVIRONMENT);
        Process process = builder.start();
        try {
            process.getOutputStream().close();
            if (process.waitFor(mostTime.toSeconds(), TimeUnit.SECONDS)) {
                return process.exitValue();
            }
            throw stopped(command, "ran for more than %d minutes".formatted(mostTime.toMinutes()), null);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw stopped(command, "was interrupted", e);
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
    }

    private static LlamafuException stopped(List<String> command, String why, Throwable cause) {
        return new LlamafuException(
                ErrorCode.DEADLINE_EXCEEDED, "'%s' %s and was ended.".formatted(command.get(0), why), cause);
    }

    private static String end(Path output) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(output.toFile(), "r")) {
            byte[] bytes = new byte[(int) Math.min(MOST_BYTES, file.length())];
            file.seek(file.length() - bytes.length);
            file.readFully(bytes);
            return new String(bytes, UTF_8).strip();
        }
    }
}
