package io.llamafu.jllama;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.support.CpuFeatures;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * Detects whether java-llama.cpp can be used, and prepares what it needs before its first class is initialized. This
 * class must not refer to that library, which may be absent.
 */
final class BindingLibrary {
    private static final String FOLDER = "de/kherud/llama/";
    private static final String TEMPORARY_FOLDER = "de.kherud.llama.tmpdir";
    /** The CPU features that the Linux x86-64 library of de.kherud:llama:4.2.0 needs, from its disassembly. */
    private static final Set<String> X86_64_FEATURES = Set.of("avx", "avx2", "f16c", "fma");

    private BindingLibrary() {}

    /** Whether its jar is on the class path, with a library for this platform. */
    static boolean isPackaged() {
        String library = FOLDER + platform() + "/" + System.mapLibraryName("jllama");
        ClassLoader loader = BindingLibrary.class.getClassLoader();
        return loader.getResource(FOLDER + "LlamaModel.class") != null && loader.getResource(library) != null;
    }

    private static String platform() {
        String system = System.getProperty("os.name");
        String machine = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
        String folder = system.startsWith("Mac") ? "Mac" : system.startsWith("Windows") ? "Windows" : system;
        return folder + "/" + (machine.equals("amd64") ? "x86_64" : machine);
    }

    /**
     * Prepares for loading; must be called before anything that refers to the library.
     *
     * @throws LlamafuException with NATIVE_LIBRARY_UNAVAILABLE or UNSUPPORTED_CPU
     */
    static synchronized void prepare() {
        if (!isPackaged()) {
            throw new LlamafuException(
                    ErrorCode.NATIVE_LIBRARY_UNAVAILABLE,
                    "The engine '%s' needs the jar de.kherud:llama on the class path, with a library for %s."
                            .formatted(JavaLlamaCppEngine.NAME, platform()));
        }
        if (platform().equals("Linux/x86_64")) {
            checkCpu(CpuFeatures.current());
        }
        useOwnTemporaryFolder();
    }

    static void checkCpu(Optional<Set<String>> features) {
        Set<String> missing = new TreeSet<>(X86_64_FEATURES);
        missing.removeAll(features.orElse(X86_64_FEATURES));
        if (!missing.isEmpty()) {
            throw new LlamafuException(
                    ErrorCode.UNSUPPORTED_CPU,
                    "The library of java-llama.cpp uses CPU instructions that this machine lacks: %s; choose the engine native, built for this CPU."
                            .formatted(String.join(", ", missing)));
        }
    }

    /**
     * java-llama.cpp unpacks its library under a fixed name, and first deletes every file of the same folder whose name
     * begins with {@code llama} or {@code jllama}. In a shared temporary folder these could be files of other programs.
     */
    private static void useOwnTemporaryFolder() {
        if (System.getProperty(TEMPORARY_FOLDER) != null) {
            return;
        }
        try {
            Path folder = Files.createTempDirectory("java-llama-cpp");
            folder.toFile().deleteOnExit();
            System.setProperty(TEMPORARY_FOLDER, folder.toString());
        } catch (IOException e) {
            throw new UncheckedIOException("A temporary folder for java-llama.cpp cannot be made.", e);
        }
    }
}
