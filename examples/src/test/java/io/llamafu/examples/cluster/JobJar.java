package io.llamafu.examples.cluster;

import java.io.IOException;
import java.io.OutputStream;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Enumeration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;

/** Packs a job as users do: its class alone, or with other jars; or a plugin of Flink. */
final class JobJar {
    private JobJar() {}

    /** @param service that the class provides */
    static Path writePlugin(Path jar, Class<?> service, Class<?> plugin) throws IOException, URISyntaxException {
        try (OutputStream file = Files.newOutputStream(jar);
                JarOutputStream out = new JarOutputStream(file)) {
            writeClasses(plugin, out, new HashSet<>());
            out.putNextEntry(new JarEntry("META-INF/services/" + service.getName()));
            out.write(plugin.getName().getBytes(StandardCharsets.UTF_8));
        }
        return jar;
    }

    /** @param main its class file and those of its nested classes are included */
    static Path write(Path jar, Class<?> main, List<Path> merged) throws IOException, URISyntaxException {
        Set<String> written = new HashSet<>();
        try (OutputStream file = Files.newOutputStream(jar);
                JarOutputStream out = new JarOutputStream(file)) {
            writeClasses(main, out, written);
            for (Path other : merged) {
                writeEntries(other, out, written);
            }
        }
        return jar;
    }

    private static void writeClasses(Class<?> main, JarOutputStream out, Set<String> written)
            throws IOException, URISyntaxException {
        Path root =
                Path.of(main.getProtectionDomain().getCodeSource().getLocation().toURI());
        Path folder = root.resolve(main.getPackageName().replace('.', '/'));
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (name.equals(main.getSimpleName() + ".class") || name.startsWith(main.getSimpleName() + "$")) {
                    add(root.relativize(file).toString(), out, written);
                    Files.copy(file, out);
                }
            }
        }
    }

    private static void writeEntries(Path source, JarOutputStream out, Set<String> written) throws IOException {
        try (JarFile jar = new JarFile(source.toFile())) {
            for (Enumeration<JarEntry> entries = jar.entries(); entries.hasMoreElements(); ) {
                JarEntry entry = entries.nextElement();
                if (!entry.isDirectory() && !entry.getName().equals(JarFile.MANIFEST_NAME)) {
                    add(entry.getName(), out, written);
                    jar.getInputStream(entry).transferTo(out);
                }
            }
        }
    }

    private static void add(String name, JarOutputStream out, Set<String> written) throws IOException {
        if (!written.add(name)) {
            throw new IOException(name + " is in two jars.");
        }
        out.putNextEntry(new JarEntry(name));
    }
}
