package io.llamafu.llamacpp;

import io.llamafu.engine.support.CpuFeatures;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The libraries that were built for this platform: a folder for each level, the best one first. */
final class PackedLibraries {
    private PackedLibraries() {}

    static List<Path> all() {
        String levels = NativePlatform.current().resourceFolder() + "/levels";
        try {
            Path file = Path.of(
                    NativeLibrary.class.getClassLoader().getResource(levels).toURI());
            return Files.readAllLines(file).stream().map(file::resolveSibling).toList();
        } catch (URISyntaxException | IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Those that this machine can run. */
    static List<Path> usable() {
        return all().stream()
                .filter(folder -> build(folder).runsOn(CpuFeatures.current().orElseThrow()))
                .toList();
    }

    static NativeBuild build(Path folder) {
        try (InputStream in = Files.newInputStream(folder.resolve(NativeBuild.FILE_NAME))) {
            return NativeBuild.read(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
