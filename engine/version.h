#pragma once
/* version.h -- what we call ourselves; the Makefile gives AO_VERSION. */
#ifndef AO_VERSION
#define AO_VERSION "dev"
#endif
#define AO_PROGRAM "asya-operator"
#define AO_USER_AGENT AO_PROGRAM "/" AO_VERSION
