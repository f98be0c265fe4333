package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Collection;
import java.util.Optional;
import java.util.UUID;

import static java.util.Objects.requireNonNull;

/** Publishes the file of a new adapter: it appears under its name only when it is complete and checked. */
public final class AdapterOutput {
    private AdapterOutput() {}

    /** Writes the file of an adapter. */
    @FunctionalInterface
    public interface Content {
        void writeTo(Path file) throws IOException;
    }

    /**
     * A published file.
     *
     * @param info the adapter as its file describes it
     * @param tensors number of tensors, two for each adapted matrix
     * @param fileBytes size of the file
     * @param digest lower-case hexadecimal SHA-256 of the file, by which completions name the adapter
     */
    public record Published(AdapterInfo info, int tensors, long fileBytes, String digest) {
        public Published {
            requireNonNull(info, "info is null");
            requireNonNull(digest, "digest is null");
        }
    }

    /**
     * Checks that no input would be replaced. Compares files rather than paths.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if the output is one of the inputs
     */
    public static void requireNoInput(Path out, Collection<Path> inputs) {
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

    /**
     * Has a file written under a name that no catalog reads, checks it, and renames it. An existing file is replaced.
     *
     * @param out the file, in an existing folder
     * @param base the model that the adapter must fit, if its tensors are known
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_INVALID} or {@link ErrorCode#ADAPTER_INCOMPATIBLE} if no
     *     engine would accept the file, and with {@link ErrorCode#INVALID_OPTION} if it cannot be written
     */
    public static Published publish(Path out, Optional<GgufFile> base, Content content) {
        Path unchecked = hidden(out);
        try {
            try {
                content.writeTo(unchecked);
                Published published = check(unchecked, out, base);
                Files.move(unchecked, out, StandardCopyOption.ATOMIC_MOVE);
                return published;
            } finally {
                Files.deleteIfExists(unchecked);
            }
        } catch (IOException e) {
            throw notWritten(out, e);
        }
    }

    /** Writes a small file so that it appears under its name only when it is complete; fails like {@link #publish}. */
    static void write(Path out, byte[] content) {
        Path part = hidden(out);
        try {
            try {
                Files.write(part, content);
                Files.move(part, out, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(part);
            }
        } catch (IOException e) {
            throw notWritten(out, e);
        }
    }

    private static Path hidden(Path out) {
        return out.toAbsolutePath().resolveSibling(".%s.unchecked".formatted(UUID.randomUUID()));
    }

    private static LlamafuException notWritten(Path out, IOException cause) {
        return new LlamafuException(
                ErrorCode.INVALID_OPTION,
                "The output '%s' cannot be written: %s; name a file in a folder that exists.".formatted(out, cause),
                cause);
    }

    private static Published check(Path file, Path out, Optional<GgufFile> base) throws IOException {
        GgufFile adapter = GgufReader.read(file, GgufKind.ADAPTER);
        base.ifPresent(model -> AdapterCompatibility.check(model, adapter).requireCompatible(String.valueOf(out)));
        WeightScan weights = WeightScan.of(file);
        String digest = Sha256.of(file, weights::take, () -> {});
        weights.found().ifPresent(tensor -> {
            throw new LlamafuException(ErrorCode.ADAPTER_INVALID, AdapterFile.badWeights(String.valueOf(out), tensor));
        });
        return new Published(AdapterInfo.of(adapter), adapter.tensors().size(), adapter.fileSize(), digest);
    }
}
