"""A few hundred common names of persons, to recognise a column of them.

Names that are also months, places, colours or other common words are left out.
"""

from __future__ import annotations

_COMMON = """
aaron adam adams ahmad ahmed aisha alain alexander ali alice allen alvarez amanda amit amy ana
anderson andrea andrew angela anil ann anna anthony antonio ashley bailey baker barbara bauer
becker benjamin bennett betty bianchi bonnet brandon braun brenda brian brooks campbell carlos
carmen carol carolyn carter castillo catherine charles chavez chen cheryl christina christine
christopher clark collins colombo cooper cox cruz cynthia daniel david davis deborah debra
dennis diane diaz dmitri donald donna dorothy douglas dubois dupont durand edward edwards
elizabeth emily emma eric esposito ethan evans evelyn fatima felix ferrari ferreira finn fischer
flores foster fournier frances francesca françois françoise garcia gary george giovanni girard
giuseppe gloria gomez gonzalez gregory gupta gutierrez hannah hans harris harry hartmann hassan
heather helen helga henry hernandez hiroshi hoffmann hofmann howard huang hughes hussain ibrahim
isabelle ito ivan ivanov jack jackson jacob jacqueline jacques james janet janice jason javier
jean jeffrey jennifer jeremy jerry jessica jimenez joan joao johanna john johnson jonas jonathan
jones jose joseph joshua joyce judith julia julie justin jürgen karen katherine kathleen kathryn
keith kelly kenneth kevin khan kim kimberly klaus klein koch kowalski krüger kumar kyle lange
larry laura lauren laurent lea lefebvre lena leon leonie leroy lewis linda lisa liu lopez lucas
lucia luis lukas madison manuel margaret maria marie marino martha martin martinez mary matthew
maximilian megan melissa mendoza meyer mia michael michel michelle miguel miller mitchell
mohammed monika moore morales moreau morgan morris mueller muhammad murphy myers müller nakamura
nancy natalia nathalie nathan nelson neumann nguyen nicholas nicole noah nowak olga oliveira
olivia omar ortiz pamela parker patel patricia patrick paul pedro pereira perez peter peterson
petra petrov philippe phillips pierre piotr priya rachel raj ramirez ramos raymond rebecca reddy
reed renate reyes ricci richard richardson richter robert roberts robinson rodriguez roger
rogers romano ronald rossi roux ruiz russo ruth ryan sabine samantha samuel sanchez sanders
sandra santos sara sarah sato schmidt schneider schröder schulz schwarz scott sergei sharma
sharon shirley silva singh smith sofia sophia sophie souza stephanie stephen steven stewart
sunita susan suzuki svetlana sylvie takahashi tanaka taylor teresa terry thomas thompson timothy
torres turner tyler ursula victoria virginia wagner walker walter wang ward watanabe watson
weber william williams wilson wojcik wolf wolfgang wright yamamoto yang yuki yusuf zachary zhang
zhao zhou zhu zimmermann
"""

PERSON_NAMES: tuple[str, ...] = tuple(_COMMON.split())
