package dev.kleinscope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.DocumentationTool;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The JDK's javadoc finds nothing wrong in ours: no broken link, tag or markup anywhere; nothing public without a comment in what programs
 * handle most; and in the root package, where they begin, every parameter, result and component told.
 */
class JavadocTest {

    private static final Path SOURCES = Path.of("src/main/java/dev/kleinscope").toAbsolutePath();
    private static final List<String> COMMENTED = List.of("", "tensor", "probe");
    private static final List<String> TOLD_IN_FULL = List.of("");

    /** What javadoc says of comments that are not there, and of parts of comments. */
    private static final List<String> NO_COMMENT = List.of("no comment", "use of default constructor");
    private static final List<String> NOT_IN_FULL = List.of("no @param for ", "no @return", "no @throws for ", "no main description");

    @TempDir
    private static Path folder;

    private static boolean done;
    private static List<Diagnostic<? extends JavaFileObject>> found;

    @BeforeAll
    static void runJavadoc() throws IOException {
        List<Path> sources = new ArrayList<>();
        try (Stream<Path> files = Files.walk(SOURCES)) {
            files.filter(file -> file.toString().endsWith(".java") && !file.startsWith(SOURCES.resolve("bindings"))).sorted().forEach(sources::add);
        }
        sources.add(Files.writeString(folder.resolve("Sample.java"), """
                /** A sample.
                 * @param size told twice, but not width <p></p>
                 */
                public record Sample(int size, int width) {
                    public int area() { return size * width; }
                }
                """));
        DocumentationTool javadoc = ToolProvider.getSystemDocumentationTool();
        DiagnosticCollector<JavaFileObject> collected = new DiagnosticCollector<>();
        try (StandardJavaFileManager files = javadoc.getStandardFileManager(collected, Locale.ROOT, StandardCharsets.UTF_8)) {
            files.setLocationFromPaths(DocumentationTool.Location.DOCUMENTATION_OUTPUT, List.of(Files.createDirectory(folder.resolve("out"))));
            List<String> options = List.of("-quiet", "-Xdoclint:all", "-Xmaxwarns", "100000", "-Xmaxerrs", "1000", "-noindex", "-notree", "-nohelp",
                    "-nonavbar", "--add-modules", "jdk.incubator.vector", "-classpath", System.getProperty("java.class.path"));
            done = javadoc.getTask(new StringWriter(), files, collected, null, options, files.getJavaFileObjectsFromPaths(sources)).call();
        }
        found = collected.getDiagnostics().stream().filter(each -> each.getKind() != Diagnostic.Kind.NOTE).toList();
    }

    private static boolean sample(Diagnostic<? extends JavaFileObject> each) {
        return each.getSource() != null && each.getSource().getName().endsWith("Sample.java");
    }

    private static boolean mayStay(Diagnostic<? extends JavaFileObject> each) {
        if (each.getSource() == null) {
            return each.getMessage(Locale.ROOT).startsWith("using incubating module");
        }
        Path place = SOURCES.relativize(Path.of(each.getSource().toUri()));
        String part = place.getNameCount() == 1 ? "" : place.getName(0).toString();
        String message = each.getMessage(Locale.ROOT);
        return NO_COMMENT.stream().anyMatch(message::startsWith) ? !COMMENTED.contains(part)
                : NOT_IN_FULL.stream().anyMatch(message::startsWith) && !TOLD_IN_FULL.contains(part);
    }

    @Test
    void javadocFindsNothingWrong() {
        List<String> wrong = found.stream().filter(each -> !sample(each) && !mayStay(each))
                .map(each -> (each.getSource() == null ? "" : each.getSource().getName() + ":" + each.getLineNumber() + ": ") + each.getMessage(Locale.ROOT))
                .toList();
        assertEquals(List.of(), wrong);
        assertTrue(done);
    }

    @Test
    void whatIsWrongWithASampleIsFound() {
        List<String> messages = found.stream().filter(JavadocTest::sample).map(each -> each.getMessage(Locale.ROOT)).sorted().toList();
        assertEquals(List.of("empty <p> tag", "no @param for width", "no comment"), messages);
    }
}
