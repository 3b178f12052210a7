/** The {@code kleinscope} command and its subcommands. */
package dev.kleinscope.cli;
